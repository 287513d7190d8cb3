import type { Arena } from './arena.js';
import type { Ground } from './ground.js';

/** How a scenario is run: `--short` for CI, long otherwise. */
export interface Form {
  readonly isShort: boolean;
  /** A duration or a number for each form. */
  pick(short: number, long: number): number;
}

/** One way to hurt a running system. One file each in scenarios/. */
export interface Scenario {
  /** For `--only`; also names its database and its records. */
  readonly name: string;
  /** One sentence for the report: what is done. */
  readonly about: string;
  /** Worker processes at the beginning. Default 3. */
  readonly workers?: number;
  /** How long completed jobs are kept, in milliseconds; undefined for the default, in which all are there at the end. */
  readonly retentionMs?: number;
  /** Jobs that succeed when they are let do so in their first attempt, in spite of the fault. */
  readonly burnsNoAttempt?: boolean;
  /** Why it cannot be run here; undefined: it can. */
  cannotRun?(): Promise<string | undefined>;
  /** A cluster of its own, for what the others could not stand. Default: the run's. */
  prepare?(): Promise<OwnGround>;
  /** Does the harm, under load, and puts everything back. Resolves at the end of the fault: recovery is measured from then. */
  fault(arena: Arena, form: Form): Promise<void>;
}

/** What a scenario with a cluster of its own hands out. */
export interface OwnGround {
  readonly ground: Ground;
  stop(): Promise<void>;
}
