import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Inject, Injectable } from '@nestjs/common';
import { UnknownQueueError } from '../errors/index.js';
import { AWA_DATABASE } from '../options/tokens.js';
import type { Database } from '../storage/connection/database.js';
import { deregisterInstance, registerInstance } from '../storage/operations/instances.js';
import {
  drainBegan,
  drainDeferredJobs,
  drainReadyJobs,
  pauseQueue,
  readQueues,
  resumeQueue,
} from '../storage/operations/queue-admin.js';
import { listQueues } from '../storage/operations/queues.js';
import type { QueueInfo } from '../storage/queue-info.js';
import { VERSION } from '../version.js';
import { type AdminNote, checkAdminNote, noteText } from './admin-note.js';

/** Jobs that one statement of a drain cancels. */
const DRAIN_BATCH = 500;

/** A drain that takes longer between two batches is taken for dead, in milliseconds. */
const DRAIN_STALE_MS = 60_000;

/**
 * Pauses, resumes, drains and shows queues, from any process of the application, workers or not. Inject it anywhere: its module
 * is global.
 *
 * @example
 * ```ts
 * await queues.pause('email', { reason: 'provider is down', by: 'ops' });
 * await queues.resume('email');
 * ```
 *
 * @publicApi
 */
@Injectable()
export class QueueAdminService {
  constructor(@Inject(AWA_DATABASE) private readonly database: Database) {}

  /**
   * No process claims from the queue until it is resumed, restarts included. Jobs that run go on, a claim under way goes through,
   * enqueues are taken. Pausing again replaces reason and author.
   *
   * @throws UnknownQueueError when there is no such queue
   * @throws InvalidOptionsError when the note cannot be stored
   */
  async pause(queue: string, note: AdminNote = {}): Promise<QueueInfo> {
    checkAdminNote('pause()', note);
    const { pool, schema } = this.database;
    if (!(await pauseQueue(pool, schema, queue, note.reason, note.by))) return this.unknown(queue);
    return this.getQueue(queue);
  }

  /**
   * Ends a pause and wakes the workers. Legal on a queue that is not paused.
   *
   * @throws UnknownQueueError when there is no such queue
   */
  async resume(queue: string): Promise<QueueInfo> {
    const { pool, schema } = this.database;
    if (!(await resumeQueue(pool, schema, queue))) return this.unknown(queue);
    return this.getQueue(queue);
  }

  /**
   * Cancels the jobs that wait: available, scheduled, snoozed and retryable ones. Running ones go on. Whatever is enqueued during a
   * drain may or may not be part of it; workers may claim a job before it is reached: pause the queue first to have all.
   *
   * @returns how many jobs were cancelled
   * @throws UnknownQueueError when there is no such queue
   * @throws InvalidOptionsError when the note cannot be stored
   * @example const { cancelled } = await queues.drain('email', { reason: 'campaign was called off', by: 'ops' });
   */
  async drain(queue: string, note: AdminNote = {}): Promise<{ readonly cancelled: number }> {
    checkAdminNote('drain()', note);
    await this.getQueue(queue);
    const reason = noteText('the queue was drained', note);
    const { pool, schema } = this.database;
    // Retries may become available meanwhile, available ones never deferred: in this order none slips through.
    let cancelled = 0;
    for (let batch = DRAIN_BATCH; batch === DRAIN_BATCH; cancelled += batch)
      batch = await drainDeferredJobs(pool, schema, queue, reason, DRAIN_BATCH);
    return { cancelled: cancelled + (await this.drainReady(queue, reason)) };
  }

  /** @throws UnknownQueueError when there is no such queue */
  async getQueue(queue: string): Promise<QueueInfo> {
    const [info] = await readQueues(this.database.pool, this.database.schema, queue);
    return info ?? this.unknown(queue);
  }

  /** Every registered queue, by name. */
  async listQueues(): Promise<QueueInfo[]> {
    return readQueues(this.database.pool, this.database.schema);
  }

  /** Claims and cancels as an instance of its own, so that a drain that dies half way leaves what a dead process leaves. */
  private async drainReady(queue: string, reason: string): Promise<number> {
    const { pool, schema } = this.database;
    const instanceId = randomUUID();
    await registerInstance(pool, schema, {
      instanceId,
      hostname: hostname(),
      pid: process.pid,
      version: VERSION,
      queues: [],
      staleAfterMs: DRAIN_STALE_MS,
    });
    try {
      const began = await drainBegan(pool, schema);
      let sum = 0;
      for (;;) {
        const batch = await drainReadyJobs(pool, schema, instanceId, {
          queue,
          reason,
          began,
          limit: DRAIN_BATCH,
        });
        sum += batch.cancelled;
        if (batch.cancelled === 0 || batch.isNewer) return sum;
      }
    } finally {
      await deregisterInstance(pool, schema, instanceId);
    }
  }

  private async unknown(queue: string): Promise<never> {
    throw new UnknownQueueError(queue, await listQueues(this.database.pool, this.database.schema));
  }
}
