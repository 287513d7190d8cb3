import type { ModelRow } from '../models.js';

const LEASE = 2;

export const model: ModelRow = {
  name: 'leadership',
  about: 'who leads: a lock that is lost with its session, and sessions that end for their silence',
  explore: {
    short: { PROCESSES: 2, LEASE, PATIENT: true },
    long: { PROCESSES: 3, LEASE, PATIENT: true },
  },
  invariants: ['oneLockHolder', 'lockNeedsSession', 'promptUnderLock'],
  witnesses: ['sawTwoLeaders', 'sawTwoAtWork', 'sawSilentReplaced', 'sawStaleLeader'],
  // The lease, and the next try.
  settleSteps: LEASE + 1,
  conformance: async () => (await import('../conformance/leadership.js')).replayLeadership,
  twins: [
    { defect: 'takes_over_by_silence', refuted: 'oneLockHolder' },
    { defect: 'lock_outlives_session', refuted: 'lockNeedsSession' },
    { defect: 'prompt_elsewhere', refuted: 'promptUnderLock' },
    { defect: 'no_idle_timeout', refuted: 'settled' },
    { defect: 'resigns_without_unlock', refuted: 'settled' },
  ],
};
