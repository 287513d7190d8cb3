import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import type { AttemptResult } from './attempt-result.js';
import type { Attempt } from './attempt.js';
import type { ClaimBook } from './claim-book.js';
import type { ClosedState, CompletionBatcher } from './completion-batcher.js';
import type { JobEvents } from './job-events.js';
import { reportClosed } from './report-closed.js';

export interface AttemptCloserOptions {
  /** Makes results durable. */
  readonly batcher: CompletionBatcher;
  readonly book: ClaimBook;
  readonly events: JobEvents;
  /** Told of each result that is durable. */
  readonly onStored: () => void;
}

/** The second half of an attempt's life: from its result to everybody who is to know that this is durable. */
export class AttemptCloser {
  /** Whose handlers have called completeIn(). */
  private readonly completedIn = new WeakSet<ClaimedJob>();

  constructor(private readonly options: AttemptCloserOptions) {}

  /** An attempt that was run. Making its end durable is the batcher's business, unless it is so already. */
  close(attempt: Attempt, result: AttemptResult): void {
    const { job, committedAs, isUnsure, isCompletedIn } = attempt;
    const { batcher } = this.options;
    if (isCompletedIn) this.completedIn.add(job);
    const settlement = result === 'completed' ? undefined : { job, ...result };
    if (committedAs !== undefined) this.closed(job, committedAs, settlement);
    else if (settlement === undefined) batcher.complete(job, attempt.state.mayBeStored, isUnsure);
    else batcher.settle(settlement, isUnsure);
  }

  /** An attempt that is over its time, while its handler goes on. */
  closeFenced(attempt: Attempt, result: Omit<Settlement, 'job'>): void {
    this.options.batcher.settle({ job: attempt.job, ...result }, attempt.isUnsure);
  }

  /** An attempt that was not started. */
  closeUnstarted(job: ClaimedJob, result: AttemptResult): void {
    if (result !== 'completed') this.options.batcher.settle({ job, ...result });
  }

  /** The end of an attempt is durable, or it was somebody else's. */
  closed(job: ClaimedJob, state: ClosedState, settlement: Settlement | undefined): void {
    const { book, events, onStored } = this.options;
    book.close(job);
    reportClosed(job, state, settlement);
    onStored();
    // Its transaction has closed it, and is over.
    if (state === 'stale' && this.completedIn.has(job)) events.closed(job, 'completed', undefined);
    else events.closed(job, state, settlement);
  }
}
