import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import type { AttemptResult } from './attempt-result.js';
import type { Attempt } from './attempt.js';
import type { ClaimBook } from './claim-book.js';
import type { ClosedState, CompletionBatcher } from './completion-batcher.js';
import { FailureLog } from './failure-log.js';
import type { JobEvents } from './job-events.js';

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
  /** Those that a transaction of their handler's completes. Few: a weak map of all attempts would cost as much as all else here. */
  private readonly completedIn = new WeakSet<ClaimedJob>();
  private readonly failures = new FailureLog();

  constructor(private readonly options: AttemptCloserOptions) {}

  /** The handler has completed the attempt in a transaction of its own; whether that commits is for the claim to tell. */
  expectCompletion({ job }: Attempt): void {
    this.completedIn.add(job);
  }

  /** An attempt that was run. Making its end durable is the batcher's business, unless it is so already. */
  close(attempt: Attempt, result: AttemptResult): void {
    const { job, committedAs, isUnsure } = attempt;
    const { batcher } = this.options;
    const settlement = result === 'completed' ? undefined : { job, ...result };
    if (committedAs !== undefined) this.closed(job, committedAs, settlement);
    else if (settlement === undefined) batcher.complete(job, attempt.state.mayBeStored, isUnsure);
    else batcher.settle(settlement, isUnsure);
  }

  /** An attempt that is over its time, while its handler goes on. */
  closeFenced(attempt: Attempt, result: Omit<Settlement, 'job'>): void {
    this.options.batcher.settle({ job: attempt.job, ...result }, attempt.isUnsure);
  }

  /** The handler of an abandoned attempt has ended after all. Its transaction may have come before what else was to end it. */
  outlived({ job, committedAs }: Attempt): void {
    if (committedAs !== undefined) this.options.events.closed(job, committedAs, undefined);
  }

  /** Nothing more is closed: logs what is still to be said. */
  end(): void {
    this.failures.flush();
  }

  /** An attempt that was not started. */
  closeUnstarted(job: ClaimedJob, result: AttemptResult): void {
    if (result !== 'completed') this.options.batcher.settle({ job, ...result });
  }

  /** The end of an attempt is durable, or it was somebody else's. */
  closed(job: ClaimedJob, state: ClosedState, settlement: Settlement | undefined): void {
    const { book, events, onStored } = this.options;
    book.close(job);
    this.failures.closed(job, state, settlement);
    onStored();
    // Its transaction has closed it, and is over.
    if (state === 'stale' && this.completedIn.has(job)) events.closed(job, 'completed', undefined);
    else events.closed(job, state, settlement);
  }
}
