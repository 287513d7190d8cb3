import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { WorkerBuild, type WorkerProcess } from './worker-process.js';
import { Blocking, Held } from './worker-program.js';

describe('a process whose event loop is blocked', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  let build: WorkerBuild;
  let worker: WorkerProcess;
  let producer: TestApp;

  beforeAll(async () => {
    build = await WorkerBuild.make();
  });

  afterAll(async () => {
    await build.remove();
  });

  beforeEach(async () => {
    producer = await apps.start({ worker: false, queues: { work: {} } });
    worker = await build.start(database.url);
  });

  afterEach(async () => worker.kill());

  /** A worker in this process, which looks for the dead several times a second. */
  async function startRescuer(): Promise<number[]> {
    const runs: number[] = [];
    await apps.start({
      queues: { work: {} },
      worker: { heartbeatIntervalMs: 200, heartbeatStaleMs: 20_000 },
      handlers: [
        handlerOf(Blocking, ({ args }) => runs.push(args)),
        handlerOf(Held, ({ args }) => runs.push(args)),
      ],
    });
    return runs;
  }

  async function block(ms: number): Promise<string> {
    const { id } = await producer.queue.enqueue(Blocking, ms);
    await worker.heard(({ type }) => type === 'started', 'the job being started by the process');
    return id;
  }

  it('keeps its jobs, for much longer than it may be silent', async () => {
    const id = await block(3_000);
    const runs = await startRescuer();
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({
      attempt: 1,
      runLease: 1,
      errors: [],
    });
    expect(runs).toEqual([]);
  });

  it('loses them when it hangs', async () => {
    const id = await block(60_000);
    const runs = await startRescuer();
    expect(await jobIn('completed', producer.queue, id, 15_000)).toMatchObject({ attempt: 2, runLease: 2 });
    expect(runs).toEqual([60_000]);
  });

  it('or that is killed: its jobs run elsewhere within three seconds, at the settings for that', async () => {
    const { id } = await producer.queue.enqueue(Held, 1);
    await worker.heard(({ type }) => type === 'started', 'the job being started by the process');
    const runs = await startRescuer();
    // The contact of the one who judges is older than the silence that counts.
    await until(
      async () => {
        const { rows } = await database.query(
          "SELECT FROM awa.runtime_instances WHERE stale_after = '20 s' AND started_at < clock_timestamp() - interval '1.5 s'",
        );
        return rows.length > 0;
      },
      { what: 'a contact of 1.5 s' },
    );
    await worker.kill();
    const killedAt = performance.now();
    expect(await jobIn('completed', producer.queue, id)).toMatchObject({ attempt: 2 });
    expect(performance.now() - killedAt).toBeLessThan(3_000);
    expect(runs).toEqual([1]);
  });
});
