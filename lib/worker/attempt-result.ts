import type { JobOutcome } from '../jobs/index.js';
import type { Settlement } from '../storage/operations/close-attempts.js';

/** How an attempt ended: `completed`, or what to settle it with. */
export type AttemptResult = 'completed' | Omit<Settlement, 'job'>;

/** The attempt is given back and the job available at once. */
export const RELEASED: Omit<Settlement, 'job'> = Object.freeze({
  outcome: 'released',
  error: undefined,
  delayMs: undefined,
});

/** What a handler has answered with. */
export function fromOutcome({ type, reason, delayMs }: JobOutcome): AttemptResult {
  switch (type) {
    case 'complete':
      return 'completed';
    case 'fail':
      return { outcome: 'failed', error: reason, delayMs: undefined };
    case 'cancel':
      return { outcome: 'cancelled', error: reason, delayMs: undefined };
    case 'retryAfter':
      return { outcome: 'error', error: reason ?? 'the handler asked for a retry', delayMs };
    case 'snooze':
      return { outcome: 'snoozed', error: undefined, delayMs };
    default:
      // Of another version of this package.
      return { outcome: 'error', error: `unknown outcome "${String(type)}"`, delayMs: undefined };
  }
}
