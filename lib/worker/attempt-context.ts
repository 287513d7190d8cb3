import type { EntityManager, QueryRunner } from 'typeorm';
import type { JobContext } from '../jobs/index.js';
import type { Attempt } from './attempt.js';

/** Where the getter of a context finds its attempt, also through a proxy or an object that inherits from the context. */
const ATTEMPT = Symbol('attempt');

/** One for all contexts: objects with accessors of their own do not share their shape, and are slow to make. */
const SIGNAL: PropertyDescriptor = {
  enumerable: true,
  get(this: AttemptContext): AbortSignal {
    return this[ATTEMPT].signal;
  },
};

/**
 * What a handler gets of its attempt. All of it are own properties, so that a handler can take the context apart or copy it; the
 * signal is made when somebody reads it, as it would be by far the most expensive part of an attempt.
 */
export class AttemptContext implements JobContext {
  declare readonly [ATTEMPT]: Attempt;
  declare readonly signal: AbortSignal;
  readonly jobId: string;
  readonly attempt: number;
  readonly runLease: number;
  readonly setProgress: JobContext['setProgress'];
  readonly checkpoint: (data: unknown) => Promise<void>;
  readonly flush: () => Promise<void>;
  readonly completeIn: (transaction: EntityManager | QueryRunner) => Promise<void>;

  constructor(
    attempt: Attempt,
    completeIn: (attempt: Attempt, transaction: EntityManager | QueryRunner) => Promise<void>,
  ) {
    const { job, state } = attempt;
    Object.defineProperty(this, ATTEMPT, { value: attempt });
    Object.defineProperty(this, 'signal', SIGNAL);
    this.jobId = job.jobId;
    this.attempt = job.attempt;
    this.runLease = job.runLease;
    this.setProgress = (percent, message) => state.setProgress(percent, message);
    this.checkpoint = (data) => state.checkpoint(data);
    this.flush = () => state.flush();
    this.completeIn = (transaction) => completeIn(attempt, transaction);
    Object.freeze(this);
  }
}
