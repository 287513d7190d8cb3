import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Database } from '../../lib/storage/connection/database.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { ClaimBook } from '../../lib/worker/claim-book.js';
import { ClaimPermits } from '../../lib/worker/claim-permits.js';
import { Claimer } from '../../lib/worker/claimer.js';
import { PrefetchSizes } from '../../lib/worker/prefetch-sizes.js';
import { ReservedSlots } from '../../lib/worker/queue-slots.js';
import { deferred, type Deferred } from '../support/signals.js';
import { SCHEMA } from '../support/storage-fixture.js';

/** A database that answers each claim when it is told to, with nothing. */
class SilentPort implements SqlPort {
  /** The queues and limits of each claim. */
  readonly asked: Record<string, number>[] = [];
  private next = deferred();
  private answer: Deferred<never[]> | undefined;

  async query<Row>(_: unknown, [, queues, limits]: readonly unknown[]): Promise<Row[]> {
    this.answer = deferred();
    const { promise } = this.answer;
    this.asked.push(
      Object.fromEntries((queues as string[]).map((queue, n) => [queue, (limits as number[])[n] ?? 0])),
    );
    this.next.resolve();
    return promise;
  }

  /** Waits for a claim to begin. */
  async claim(): Promise<void> {
    await this.next.promise;
    this.next = deferred();
  }

  /** Ends the claim under way, and gives the claimer the time to begin another one. */
  async end(): Promise<void> {
    this.answer?.resolve([]);
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  }
}

describe('a claimer', () => {
  let port: SilentPort;
  let claimer: Claimer;
  let slots: ReservedSlots;
  let isBlocked: boolean;

  beforeEach(() => {
    port = new SilentPort();
    isBlocked = false;
    const queues = ['a', 'b'].map((name) => ({ name, maxWorkers: 3, prefetch: true, rateLimit: undefined }));
    slots = new ReservedSlots(queues);
    const database = { schema: SCHEMA } as Database;
    const permits = new ClaimPermits(queues, slots, () => 0);
    claimer = new Claimer(port, database, permits, new PrefetchSizes(queues), new ClaimBook(), {
      queues: ['a', 'b'],
      pollIntervalMs: 60_000,
      instanceId: () => '00000000-0000-0000-0000-000000000000',
      hearsNotifications: () => false,
      isBlocked: () => isBlocked,
      accept: () => undefined,
    });
  });

  afterEach(async () => {
    await port.end();
    await claimer.stop();
  });

  it('asks once for all queues, and then not before something is announced', async () => {
    claimer.start();
    await port.claim();
    await port.end();
    claimer.slotFreed();
    await port.end();
    expect(port.asked).toEqual([{ a: 3, b: 3 }]);
    claimer.wake('a');
    await port.claim();
    await port.end();
    expect(port.asked).toHaveLength(2);
  });

  it('asks again when something was announced while a claim was under way', async () => {
    claimer.start();
    await port.claim();
    claimer.wake('b');
    await port.end();
    expect(port.asked).toHaveLength(2);
    await port.end();
    expect(port.asked).toHaveLength(2);
  });

  it('asks for a queue that was announced while it had no slot as soon as one is freed', async () => {
    for (let job = 0; job < 3; job++) slots.take('a');
    claimer.start();
    await port.claim();
    await port.end();
    expect(port.asked).toEqual([{ b: 3 }]);
    claimer.wake('a');
    await port.end();
    expect(port.asked).toHaveLength(1);
    slots.release('a');
    claimer.slotFreed();
    await port.end();
    expect(port.asked).toEqual([{ b: 3 }, { a: 1, b: 3 }]);
  });

  it('asks for nothing while results pile up, and goes on when they are stored', async () => {
    isBlocked = true;
    claimer.start();
    claimer.wake();
    await port.end();
    claimer.resultStored();
    await port.end();
    expect(port.asked).toEqual([]);
    isBlocked = false;
    claimer.resultStored();
    await port.claim();
    expect(port.asked).toHaveLength(1);
  });
});
