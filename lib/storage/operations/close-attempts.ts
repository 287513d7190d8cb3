import { arrayText } from '../array-text.js';
import type { JobState } from '../job-state.js';
import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import { byteaText } from '../bytea-text.js';
import type { ClaimedJob } from './claim-jobs.js';

/**
 * How an attempt ended that did not succeed. `error` and `timed_out` are retried while attempts are left; `failed` is not; `invalid` is
 * failed without counting the attempt; `snoozed` and `released` give the attempt back, to a later time and to anybody at once.
 */
export type AttemptOutcome =
  'error' | 'timed_out' | 'failed' | 'invalid' | 'cancelled' | 'snoozed' | 'released';

/** What became of an attempt: its new state; `stale`: somebody else had ended it; `busy`: its claim is locked, try again. */
export type Closing = JobState | 'stale' | 'busy';

/** One attempt to settle. */
export interface Settlement {
  readonly job: ClaimedJob;
  readonly outcome: AttemptOutcome;
  readonly error: string | undefined;
  /** Milliseconds; undefined: the default back-off. */
  readonly delayMs: number | undefined;
}

const completeStatement = sqlStatement(
  'complete_attempts',
  (
    s,
  ) => `SELECT c.ord, c.refusal FROM ${s}.complete_attempts($1::int[], $2::bigint[], $3::smallint[], $4::bigint[], $5::int[],
    $6::smallint[], $7::int[], $8::bytea[], $9::int[], $10::boolean) c`,
);

const settleStatement = sqlStatement(
  'settle_attempts',
  (s) => `SELECT c.ord, c.state FROM ${s}.settle_attempts(
    $1::int[], $2::bigint[], $3::smallint[], $4::bigint[], $5::int[], $6::text[], $7::text[], $8::float8[], $9::boolean) c`,
);

/**
 * Records successes, and frees the unique keys of those that have one.
 *
 * @param mayHaveState tells the attempts that may have saved something, which is dropped. The others are taken at their word: what
 *   they had saved would stay for ever.
 * @returns those that were stale: somebody else had closed the attempt, and this result does not count.
 */
export async function completeAttempts(
  port: SqlPort,
  schema: SchemaName,
  jobs: readonly ClaimedJob[],
  mayHaveState: (job: ClaimedJob) => boolean = () => false,
): Promise<ClaimedJob[]> {
  const refusals = await completeEach(port, schema, jobs, mayHaveState, true);
  return jobs.filter((_, index) => refusals.has(index + 1));
}

/**
 * Records everything that is not a success.
 *
 * @returns the new state of each job, by position; undefined for a stale one.
 */
export async function settleAttempts(
  port: SqlPort,
  schema: SchemaName,
  settlements: readonly Settlement[],
): Promise<(JobState | undefined)[]> {
  const states = await settleEach<JobState>(port, schema, settlements, true);
  return settlements.map((_, index) => states.get(index + 1));
}

/**
 * As `completeAttempts`, without ever waiting for a lock.
 *
 * @returns what became of each, by position
 */
export async function completeFreeAttempts(
  port: SqlPort,
  schema: SchemaName,
  jobs: readonly ClaimedJob[],
  mayHaveState: (job: ClaimedJob) => boolean,
): Promise<Closing[]> {
  const refusals = await completeEach(port, schema, jobs, mayHaveState, false);
  return jobs.map((_, index) => refusals.get(index + 1) ?? 'completed');
}

/**
 * As `settleAttempts`, without ever waiting for a lock.
 *
 * @returns what became of each, by position
 */
export async function settleFreeAttempts(
  port: SqlPort,
  schema: SchemaName,
  settlements: readonly Settlement[],
): Promise<Closing[]> {
  const states = await settleEach<Closing>(port, schema, settlements, false);
  return settlements.map((_, index) => states.get(index + 1) ?? 'stale');
}

/** @returns why not, by ordinal, where an attempt was not completed */
async function completeEach(
  port: SqlPort,
  schema: SchemaName,
  jobs: readonly ClaimedJob[],
  mayHaveState: (job: ClaimedJob) => boolean,
  wait: boolean,
): Promise<Map<number, 'stale' | 'busy'>> {
  const keys = jobs.flatMap(({ uniqueKey }, index) =>
    uniqueKey === undefined ? [] : [{ ord: index + 1, key: uniqueKey }],
  );
  const rows = await port.query<{ ord: number; refusal: 'stale' | 'busy' }>(completeStatement(schema), [
    ...attemptArrays(jobs),
    arrayText(jobs, (job) => job.readySlot),
    keys.map(({ ord }) => ord),
    keys.map(({ key }) => byteaText(key)),
    jobs.flatMap((job, index) => (mayHaveState(job) ? [index + 1] : [])),
    wait,
  ]);
  return new Map(rows.map(({ ord, refusal }) => [ord, refusal]));
}

/** @returns what became of each, by ordinal; nothing of the stale ones */
async function settleEach<State extends Closing>(
  port: SqlPort,
  schema: SchemaName,
  settlements: readonly Settlement[],
  wait: boolean,
): Promise<Map<number, State>> {
  const rows = await port.query<{ ord: number; state: State }>(settleStatement(schema), [
    ...attemptArrays(settlements.map(({ job }) => job)),
    arrayText(settlements, ({ outcome }) => outcome),
    arrayText(settlements, ({ error }) => error),
    arrayText(settlements, ({ delayMs }) => delayMs),
    wait,
  ]);
  return new Map(rows.map(({ ord, state }) => [ord, state]));
}

/** What names attempts in a call, as the first five parameters. */
export function attemptArrays(jobs: readonly ClaimedJob[]): string[] {
  return [
    arrayText(jobs, (job) => job.claim.laneId),
    arrayText(jobs, (job) => job.claim.claimSeq),
    arrayText(jobs, (job) => job.item),
    arrayText(jobs, (job) => job.jobId),
    arrayText(jobs, (job) => job.runLease),
  ];
}
