import assert from 'node:assert/strict';
import type { JobFilter } from 'nestjs-awa';
import { parsePayload } from '../../lib/jobs/index.js';
import { JOB_STATES, type JobState } from '../../lib/storage/job-state.js';
import { STORED_JOB, type StoredJobRow, toStoredJob } from '../../lib/storage/operations/stored-job.js';
import { sqlStatement } from '../../lib/storage/sql-port.js';
import { SCHEMA } from '../support/storage-fixture.js';
import { compareIds, type RefJob } from './reference/job.js';
import { QUEUES } from './reference/queues.js';
import type { Reference } from './reference/reference.js';
import type { World } from './world.js';

/** Everything with one statement: it is run after each step. */
const everything = sqlStatement(
  'property_everything',
  (s) => `SELECT
    ARRAY(SELECT row_to_json(r)::text FROM (
      SELECT ${STORED_JOB} FROM unnest($1::bigint[]) AS i CROSS JOIN LATERAL ${s}.get_job(i) j) r) AS jobs,
    ARRAY(SELECT row_to_json(r)::text FROM (
      SELECT q AS queue, c.state, c.jobs, c.exact
      FROM unnest($2::text[]) AS q CROSS JOIN LATERAL ${s}.count_jobs(q, 10000) c) r) AS counts,
    ARRAY(SELECT c.job_id::text FROM ${s}.job_unique_claims c ORDER BY c.job_id) AS holders`,
);

interface Everything {
  readonly jobs: readonly string[];
  readonly counts: readonly string[];
  readonly holders: readonly string[];
}

interface Count {
  readonly queue: string;
  readonly state: JobState;
  readonly jobs: number;
  readonly exact: boolean;
}

/** Compares everything that can be seen of the engine with the reference. */
export async function compare(ref: Reference, { reader }: World): Promise<void> {
  const ids = ref.jobs.map(({ id }) => id);
  const [found] = await reader.query<Everything>(everything(SCHEMA), [ids, QUEUES.map(({ name }) => name)]);
  assert.ok(found !== undefined);
  const stored = new Map(
    found.jobs.map((text) => JSON.parse(text) as StoredJobRow).map((row) => [row.id, seen(row)]),
  );
  assert.deepEqual(
    Object.fromEntries(ref.jobs.map((job) => [job.id, stored.get(job.id)])),
    Object.fromEntries(ref.jobs.map((job) => [job.id, expected(job)])),
    'jobs',
  );

  const counted = found.counts.map((text) => JSON.parse(text) as Count);
  assert.ok(counted.every(({ exact }) => exact));
  assert.deepEqual(
    Object.fromEntries(
      counted.filter((row) => row.jobs > 0).map((row) => [`${row.queue} ${row.state}`, row.jobs]),
    ),
    countsOf(ref),
    'counts',
  );

  const pending = new Set(
    ref.transactions.flatMap((transaction) => transaction?.jobs.map(({ job }) => job) ?? []),
  );
  assert.deepEqual(
    found.holders,
    ref.keys
      .entries()
      .filter(([, job]) => !pending.has(job))
      .map(([, { id }]) => id)
      .sort(compareIds),
    'jobs that hold a key',
  );
}

function seen(row: StoredJobRow) {
  const { queue, priority, state, attempt, maxAttempts, runLease, deadLetter, argsJson, payloadJson } =
    toStoredJob(row);
  const { errors, checkpoint } = parsePayload(payloadJson);
  return {
    queue,
    priority,
    state,
    attempt,
    maxAttempts,
    runLease,
    deadLetter,
    args: JSON.parse(argsJson) as unknown,
    errors: errors.length,
    checkpoint: state === 'completed' ? null : checkpoint,
  };
}

function expected(job: RefJob) {
  if (job.state === undefined) return undefined;
  return {
    queue: job.queue,
    priority: job.priority,
    state: job.state,
    attempt: job.attempt,
    maxAttempts: job.maxAttempts,
    runLease: job.runLease,
    deadLetter: job.deadHour !== undefined,
    args: job.args,
    errors: job.errors,
    checkpoint: job.state === 'completed' ? null : job.checkpoint,
  };
}

function countsOf(ref: Reference): Record<string, number> {
  const result: Record<string, number> = {};
  for (const { queue, state } of ref.jobs)
    if (state !== undefined) result[`${queue} ${state}`] = (result[`${queue} ${state}`] ?? 0) + 1;
  return result;
}

/** Compares what the public readings say, at the end of a sequence: each costs as much as {@link compare} as a whole. */
export async function compareReadings(ref: Reference, { queue }: World): Promise<void> {
  for (const job of ref.jobs) {
    const snapshot = await queue.getJob(job.id);
    assert.equal(snapshot?.state, job.state, `getJob(${job.id})`);
    assert.equal(snapshot?.deadLetter, job.state === undefined ? undefined : job.deadHour !== undefined);
  }
  const listed = async (filter: JobFilter, what: (job: RefJob) => boolean) => {
    const { items } = await queue.listJobs(filter, { limit: 500 });
    assert.deepEqual(
      items.map(({ id }) => id).sort(compareIds),
      ref.jobs
        .filter((job) => job.state !== undefined && what(job))
        .map(({ id }) => id)
        .sort(compareIds),
      `listJobs(${JSON.stringify(filter)})`,
    );
  };
  for (const state of JOB_STATES) await listed({ state }, (job) => job.state === state);
  for (const { name } of QUEUES) {
    await listed({ queue: name }, (job) => job.queue === name);
    const numbers = await queue.countJobs(name);
    for (const state of JOB_STATES) {
      const count = ref.jobs.filter((job) => job.queue === name && job.state === state).length;
      assert.deepEqual(numbers[state], { count, exact: true }, `${state} jobs of "${name}"`);
    }
  }
}
