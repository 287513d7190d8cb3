import { StaleAttemptError } from '../errors/index.js';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { AttemptStateChange } from '../storage/operations/save-attempt-states.js';
import { checkedProgress, checkpointJson, type SaidProgress } from './attempt-state.rules.js';

/** Who stores what attempts have to say. */
export interface AttemptStateSink {
  /** There is something to store; at once, when somebody waits for it. */
  changed(state: AttemptState, isUrgent: boolean): void;
  /** There is nothing more to store. */
  forget(state: AttemptState): void;
}

/** Something to store, and the revision that brought it. */
interface Said<Value> {
  readonly value: Value;
  readonly revision: number;
}

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * What one attempt has to say about itself: buffered here until it is durable. Each change is a revision; the newest value of
 * each kind is kept until a save that carried it is answered, so that nothing is lost with an answer.
 *
 * States: open -> over, by the end of the attempt (close) or by the answer that somebody else has ended it (refuse).
 */
export class AttemptState {
  private progress: Said<SaidProgress> | undefined;
  private checkpointed: Said<string> | undefined;
  private revision = 0;
  private storedRevision = 0;
  private isOver = false;
  private waiters: Waiter[] = [];
  /** A save was tried, and whatever became of its answer, there may be a row. */
  mayBeStored = false;

  constructor(
    readonly job: ClaimedJob,
    private readonly sink: AttemptStateSink,
    /** Told when the attempt turns out to be over. */
    private readonly onStale: (error: StaleAttemptError) => void,
  ) {}

  /** Whether there is something that is not known to be stored. */
  get isDirty(): boolean {
    return this.storedRevision < this.revision;
  }

  /** Characters of the checkpoint that is to be stored. */
  get unstoredLength(): number {
    return this.checkpointed?.value.length ?? 0;
  }

  /** Whether somebody waits for it to be stored. */
  get isAwaited(): boolean {
    return this.waiters.length > 0;
  }

  setProgress(percent: number, message: string | undefined): void {
    const value = checkedProgress(percent, message);
    if (this.isOver) return;
    this.progress = { value, revision: ++this.revision };
    this.sink.changed(this, false);
  }

  checkpoint(data: unknown): Promise<void> {
    const value = checkpointJson(data);
    if (!this.isOver) this.checkpointed = { value, revision: ++this.revision };
    return this.flush();
  }

  flush(): Promise<void> {
    const flushed = new Promise<void>((resolve, reject) => {
      if (this.isOver) reject(this.staleError());
      else if (this.isDirty) this.waiters.push({ revision: this.revision, resolve, reject });
      else resolve();
    });
    // A handler that does not wait for it hears of a refusal by its signal: nothing that should end the process.
    flushed.catch(() => undefined);
    if (this.isAwaited) this.sink.changed(this, true);
    return flushed;
  }

  /**
   * Resolves when everything said so far is durable, or never will be. For those who end the attempt: what was said last goes on
   * with the job, and of a refusal they hear themselves.
   */
  async settled(): Promise<void> {
    if (this.isDirty) await this.flush().catch(() => undefined);
  }

  /** What is to be stored now. */
  change(): AttemptStateChange {
    this.mayBeStored = true;
    return {
      job: this.job,
      revision: this.revision,
      progress: this.progress?.value,
      checkpointJson: this.checkpointed?.value,
    };
  }

  /** Everything up to a revision is durable. */
  stored(revision: number): void {
    this.storedRevision = Math.max(this.storedRevision, revision);
    if (this.progress !== undefined && this.progress.revision <= revision) this.progress = undefined;
    if (this.checkpointed !== undefined && this.checkpointed.revision <= revision)
      this.checkpointed = undefined;
    const isDone = (waiter: Waiter) => waiter.revision <= revision;
    for (const { resolve } of this.waiters.filter(isDone)) resolve();
    this.waiters = this.waiters.filter((waiter) => !isDone(waiter));
  }

  /** The database does not take what was to be stored up to a revision. */
  drop(revision: number, cause: unknown): void {
    for (const waiter of this.waiters) if (waiter.revision <= revision) waiter.reject(cause);
    this.stored(revision);
  }

  /** Somebody else has ended the attempt. */
  refuse(): void {
    if (this.isOver) return;
    this.close();
    this.onStale(this.staleError());
  }

  /** The attempt is over: what it says from now on is not heard. Legal any number of times. */
  close(): void {
    this.isOver = true;
    this.progress = undefined;
    this.checkpointed = undefined;
    this.storedRevision = this.revision;
    for (const { reject } of this.waiters.splice(0)) reject(this.staleError());
    this.sink.forget(this);
  }

  private staleError(): StaleAttemptError {
    return new StaleAttemptError(this.job.jobId, this.job.runLease);
  }
}
