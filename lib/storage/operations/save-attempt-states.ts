import type { SchemaName } from '../schema-name.js';
import { type SqlPort, sqlStatement } from '../sql-port.js';
import type { ClaimedJob } from './claim-jobs.js';
import { attemptArrays } from './close-attempts.js';

/** What to save of one attempt; what is undefined stays as it was saved before. */
export interface AttemptStateChange {
  readonly job: ClaimedJob;
  /** Grows with each change of the attempt: a save that is older than what is there changes nothing. */
  readonly revision: number;
  readonly progress: { readonly percent: number; readonly message: string | undefined } | undefined;
  readonly checkpointJson: string | undefined;
}

/** `stale`: the attempt is over. `busy`: its claim is locked by somebody who may be closing it; try again. */
export type SaveResult = 'saved' | 'stale' | 'busy';

const statement = sqlStatement(
  'save_attempt_states',
  (
    s,
  ) => `SELECT c.ord, c.refusal FROM ${s}.save_attempt_states($1::int[], $2::bigint[], $3::smallint[], $4::bigint[], $5::int[],
    $6::int[], $7::float8[], $8::text[], $9::text[]) c`,
);

/**
 * Saves progress and checkpoints of open attempts, each named once.
 *
 * @returns a result for each, by position
 */
export async function saveAttemptStates(
  port: SqlPort,
  schema: SchemaName,
  changes: readonly AttemptStateChange[],
): Promise<SaveResult[]> {
  const rows = await port.query<{ ord: number; refusal: 'stale' | 'busy' }>(statement(schema), [
    ...attemptArrays(changes.map(({ job }) => job)),
    changes.map(({ revision }) => revision),
    changes.map(({ progress }) => progress?.percent ?? null),
    changes.map(({ progress }) => progress?.message ?? null),
    changes.map(({ checkpointJson }) => checkpointJson ?? null),
  ]);
  const refusals = new Map(rows.map(({ ord, refusal }) => [ord, refusal]));
  return changes.map((_, index) => refusals.get(index + 1) ?? 'saved');
}
