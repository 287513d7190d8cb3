import type { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { claimJobs, type ClaimedJob } from '../../../lib/storage/operations/claim-jobs.js';
import { getJob } from '../../../lib/storage/operations/get-job.js';
import { rescueAttempts } from '../../../lib/storage/operations/instances.js';
import { registerQueues } from '../../../lib/storage/operations/queues.js';
import { registerTestInstance, SCHEMA } from '../../support/storage-fixture.js';
import type { ReplayDatabase } from '../models.js';
import { expectSame } from './expect-same.js';
import { promoteOne } from './promote-one.js';

export const HOUR_MS = 3_600_000;

interface Attempt {
  readonly job: ClaimedJob;
  readonly instanceId: string;
}

/** The jobs of a walk by their numbers, which may have been other ones', and what workers and maintenance do with them. */
export class ReplayJobs {
  readonly #ids = new Map<number, string>();
  readonly #queues = new Map<number, string>();
  /** Oldest first. */
  readonly #attempts = new Map<number, Attempt[]>();

  /** @param self an instance that claims nothing */
  constructor(
    private readonly database: ReplayDatabase,
    private readonly port: PgAdapter,
    private readonly self: string,
  ) {}

  add(job: number, id: string, queue: string): void {
    this.#ids.set(job, id);
    this.#queues.set(job, queue);
    this.#attempts.delete(job);
  }

  find(job: number): string | undefined {
    return this.#ids.get(job);
  }

  id(job: number): string {
    return this.#ids.get(job)!;
  }

  /** The newest. */
  attempt(job: number): ClaimedJob {
    return this.#newest(job).job;
  }

  /** The newest attempt that is over. */
  async lateAttempt(job: number): Promise<ClaimedJob> {
    const isRunning = (await getJob(this.port, SCHEMA, this.id(job)))?.state === 'running';
    return this.#attempts.get(job)!.at(isRunning ? -2 : -1)!.job;
  }

  async claim(job: number): Promise<void> {
    const instanceId = await registerTestInstance(this.port);
    const limits = [{ queue: this.#queues.get(job)!, limit: 10 }];
    const { jobs } = await claimJobs(this.port, SCHEMA, instanceId, limits);
    expectSame(
      'the claimed jobs',
      jobs.map(({ jobId }) => jobId),
      [this.id(job)],
    );
    this.#attempts.set(job, [...(this.#attempts.get(job) ?? []), { job: jobs[0]!, instanceId }]);
  }

  async promote(job: number): Promise<void> {
    await promoteOne(this.database, this.port, this.id(job));
  }

  /** The process of the job's attempt has not been heard of for an hour. */
  async rescue(job: number, buries: boolean): Promise<void> {
    await this.setDeadLetters(job, buries);
    await this.database.query(
      `UPDATE awa.runtime_instances SET heartbeat_at = clock_timestamp() - interval '1 h', stale_after = '1 ms'
       WHERE instance_id = $1`,
      [this.#newest(job).instanceId],
    );
    expectSame('rescued', await rescueAttempts(this.port, SCHEMA, this.self, 10 * HOUR_MS, 100), 1);
  }

  /** Whether the job's queue has dead letters. */
  async setDeadLetters(job: number, hasThem: boolean): Promise<void> {
    await registerQueues(this.port, SCHEMA, [
      { name: this.#queues.get(job)!, deadLetterMs: hasThem ? 1000 * HOUR_MS : 0 },
    ]);
  }

  #newest(job: number): Attempt {
    return this.#attempts.get(job)!.at(-1)!;
  }
}
