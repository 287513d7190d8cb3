import { defineJob } from 'nestjs-awa';

/** What is to happen to a job. */
export interface ChaosArgs {
  /** How long its handler works, in milliseconds. */
  readonly workMs: number;
  /** How its first run leases end; after them it succeeds. */
  readonly plan: readonly ('error' | 'snooze')[];
  /** For unique jobs: their key. */
  readonly key?: string;
}

const retry = { baseMs: 100, factor: 1.5, maxMs: 1_000 };

export const PlainJob = defineJob<ChaosArgs, 'plain'>('plain', { queue: 'fast', retry });

/** Fails and snoozes before it succeeds. */
export const RetryingJob = defineJob<ChaosArgs, 'retrying'>('retrying', { queue: 'fast', retry });

/** Fails for good once in a while: three attempts are soon used up. */
export const MortalJob = defineJob<ChaosArgs, 'mortal'>('mortal', { queue: 'fast', retry, maxAttempts: 3 });

/** Runs for seconds: at work whenever something happens. */
export const SlowJob = defineJob<ChaosArgs, 'slow'>('slow', { queue: 'slow', retry });

/** Writes a row of the application's, in a transaction of its own. */
export const EffectJob = defineJob<ChaosArgs, 'effect'>('effect', { queue: 'fast', retry });

/** Writes a row of the application's in the transaction that ends its attempt: the row and the end are there, or neither is. */
export const ExactJob = defineJob<ChaosArgs, 'exact'>('exact', { queue: 'fast', retry });

/** Of jobs with one key one lives at a time. */
export const UniqueJob = defineJob<ChaosArgs, 'unique'>('unique', {
  queue: 'fast',
  retry,
  unique: { args: ['key'] },
});

/** What the checker expects of a kind. */
export interface KindRules {
  /**
   * Rows in `chaos_effects` for a job that was completed: `at-least-once` one of the winning attempt, and others of attempts that
   * lost; `exactly-once` the winner's and no other. The latter is for handlers whose completion commits with their writes.
   */
  readonly effects: 'none' | 'at-least-once' | 'exactly-once';
  /** Whether a completed job must have been completed in its first attempt, when a scenario burns none. */
  readonly isSmooth: boolean;
}

export const KINDS: Readonly<Record<string, KindRules>> = {
  plain: { effects: 'none', isSmooth: true },
  retrying: { effects: 'none', isSmooth: false },
  mortal: { effects: 'none', isSmooth: false },
  slow: { effects: 'none', isSmooth: true },
  effect: { effects: 'at-least-once', isSmooth: false },
  exact: { effects: 'exactly-once', isSmooth: false },
  unique: { effects: 'none', isSmooth: true },
};

export const QUEUES = { fast: { maxWorkers: 40 }, slow: { maxWorkers: 40 } };

/** The application's table. */
export const EFFECTS_TABLE = `CREATE TABLE public.chaos_effects (
  job_id bigint NOT NULL, run_lease int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
)`;
