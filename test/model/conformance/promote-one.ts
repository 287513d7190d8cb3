import { promoteDeferred } from '../../../lib/storage/operations/promote-deferred.js';
import type { SqlPort } from '../../../lib/storage/sql-port.js';
import { SCHEMA } from '../../support/storage-fixture.js';

/** Whoever may update any table. */
export interface Owner {
  query(sql: string, params: unknown[]): Promise<unknown>;
}

/** Promotes this job and no other: a walk can take longer than the others' back-off. @returns how many were */
export async function promoteOne(owner: Owner, port: SqlPort, jobId: string): Promise<number> {
  await owner.query(
    `UPDATE awa.deferred_jobs d SET run_at = now() + CASE WHEN d.job_id = $1 THEN interval '-1 s' ELSE interval '1 h' END
     WHERE d.job_id IN (SELECT f.job_id FROM awa.deferred_jobs f FOR UPDATE SKIP LOCKED)`,
    [jobId],
  );
  return (await promoteDeferred(port, SCHEMA, 100)).promoted;
}
