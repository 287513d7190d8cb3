import type { ResolvedRetention } from '../options/resolve-options.js';
import type { RingName } from '../storage/operations/rings.js';
import type { RingPolicy } from './rings.task.js';

/** Claims are of interest while they are open, and those are carried on: a segment need not be kept. In milliseconds. */
const CLAIM_PERIOD_MS = 10_000;

const MEBIBYTE = 1024 * 1024;

/**
 * How the rings are turned for a retention. Of a ring's slots one is being written and one is free to be written next; the
 * others hold the retention, so that is how long a segment's period is.
 */
export function ringPolicies({
  completed,
  failed,
  maxBytes,
}: ResolvedRetention): Record<RingName, RingPolicy> {
  return {
    ready: {
      periodMs: Math.max(completed / 6, 250),
      maxSegmentBytes: maxBytes / 7,
      retentionMs: completed,
      maxBytes,
    },
    claim: {
      periodMs: Math.min(CLAIM_PERIOD_MS, Math.max(completed / 6, 250)),
      maxSegmentBytes: 64 * MEBIBYTE,
      retentionMs: 0,
      maxBytes: Number.POSITIVE_INFINITY,
    },
    done: {
      periodMs: Math.max(failed / 4, 250),
      maxSegmentBytes: maxBytes / 5,
      retentionMs: failed,
      maxBytes,
    },
  };
}
