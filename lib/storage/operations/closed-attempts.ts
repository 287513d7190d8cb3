import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import type { ClaimedJob } from './claim-jobs.js';

/** An attempt that is over, in the database. */
export interface ClosedAttempt {
  readonly job: ClaimedJob;
  /** The state that its job went to, or `gone` when that is not known any more. */
  readonly outcome: string;
}

const statement = sqlStatement(
  'closed_attempts',
  (s) => `SELECT c.ord, c.outcome FROM ${s}.closed_attempts($1::int[], $2::bigint[], $3::smallint[]) c`,
);

/** Which of the attempts are closed, by whomever. */
export async function closedAttempts(
  port: SqlPort,
  schema: SchemaName,
  jobs: readonly ClaimedJob[],
): Promise<ClosedAttempt[]> {
  const rows = await port.query<{ ord: number; outcome: string }>(statement(schema), [
    jobs.map(({ claim }) => claim.laneId),
    jobs.map(({ claim }) => claim.claimSeq),
    jobs.map(({ item }) => item),
  ]);
  return rows.flatMap(({ ord, outcome }) => {
    const job = jobs[ord - 1];
    return job === undefined ? [] : [{ job, outcome }];
  });
}
