import { setTimeout as delay } from 'node:timers/promises';
import type { Environment } from './environment.js';
import type { Measurements } from './measurements.js';
import { clock, type Payload } from './payload.js';

export const WANTED_FAILURE = 'fails in its first attempt, as was asked for';

/** Thrown for jobs that are to fail in their first attempt. */
export class WantedFailure extends Error {
  constructor() {
    super(WANTED_FAILURE);
    // Systems store the stack of an error; all of them get the same few bytes.
    this.stack = this.message;
  }
}

export type Outcome = 'completed' | 'failed';

/** What a handler does with a job: the same in every system. */
export class Work {
  /** Told of each first attempt that starts. */
  onStarted: ((payload: Payload) => void) | undefined;
  /** Told of each job that is completed. */
  onCompleted: (() => void) | undefined;

  constructor(
    private readonly environment: Environment,
    private readonly measurements: Measurements,
  ) {}

  /** Whether jobs fail at all: a system that pays for knowing the number of the attempt need not otherwise. */
  get hasFailures(): boolean {
    return this.environment.failFirstPercent > 0;
  }

  /** For systems whose handler has one job. @throws WantedFailure */
  async handle(payload: Payload, isFirstAttempt: boolean): Promise<void> {
    const outcome = await this.attempt(payload, isFirstAttempt);
    this.handedOver(outcome);
    if (outcome === 'failed') throw new WantedFailure();
  }

  /** For systems whose handler has several jobs: each outcome goes to {@link handedOver} when the system is given it. */
  async attempt(payload: Payload, isFirstAttempt: boolean): Promise<Outcome> {
    if (isFirstAttempt) {
      this.measurements.started += 1;
      this.measurements.pickup.record(clock() - payload.sentAt);
      this.onStarted?.(payload);
    }
    if (this.environment.workMs > 0) await delay(this.environment.workMs);
    return isFirstAttempt && payload.n % 100 < this.environment.failFirstPercent ? 'failed' : 'completed';
  }

  handedOver(outcome: Outcome): void {
    this.measurements[outcome] += 1;
    if (outcome === 'completed') this.onCompleted?.();
  }
}
