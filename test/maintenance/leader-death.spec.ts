import { defineJob } from 'nestjs-awa';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/signals.js';
import { handlerOf, jobIn, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { WorkerBuild, type WorkerProcess } from '../worker/worker-process.js';

const Later = defineJob<number>('later', { queue: 'other' });

/** What is promised for the defaults. */
const TAKEOVER_MS = 10_000;

describe('a leading process', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);
  const processes: WorkerProcess[] = [];
  let build: WorkerBuild;

  beforeAll(async () => {
    build = await WorkerBuild.make();
  });

  afterAll(async () => {
    await build.remove();
  });

  afterEach(async () => {
    await Promise.all(processes.splice(0).map(async (worker) => worker.kill()));
  });

  /** The process id of the leader. */
  async function leader(): Promise<number | undefined> {
    const { rows } = await database.query<{ pid: number }>(
      'SELECT pid FROM awa.runtime_instances WHERE instance_id = awa.current_leader()',
    );
    return rows[0]?.pid;
  }

  async function startLeader(): Promise<WorkerProcess> {
    const worker = await build.start(database.url);
    processes.push(worker);
    await until(async () => (await leader()) === worker.pid, { what: 'the process leading' });
    return worker;
  }

  /** A worker with the default times, and another queue than the process. */
  async function startFollower(): Promise<TestApp> {
    const app = await apps.start({
      queues: { other: {} },
      handlers: [handlerOf(Later, () => undefined)],
    });
    await until(
      async () => {
        const { rows } = await database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'awa maintenance'`,
        );
        return rows.length > 0;
      },
      { what: 'the follower trying' },
    );
    return app;
  }

  /** Waits until this process leads and maintains. @returns the leader then. */
  async function takenOver({ queue }: TestApp): Promise<number | undefined> {
    await until(async () => (await leader()) === process.pid, {
      what: 'the takeover',
      timeoutMs: TAKEOVER_MS,
    });
    const { id } = await queue.enqueue(Later, 1, { delay: 10 });
    await jobIn('completed', queue, id);
    return leader();
  }

  it('that is killed is replaced, and the maintenance goes on', async () => {
    const worker = await startLeader();
    const follower = await startFollower();
    await worker.kill();
    expect(await takenOver(follower)).toBe(process.pid);
  });

  it('that stands still is replaced, and follows when it goes on', async () => {
    const worker = await startLeader();
    const follower = await startFollower();
    worker.signal('SIGSTOP');
    expect(await takenOver(follower)).toBe(process.pid);
    worker.signal('SIGCONT');
    // Which it finds first, its connection gone or its own heartbeats missing, is chance.
    await worker.heard(
      (message) => message.type === 'log' && /lost the leadership|resigns/.test(message.line),
      'the loss being noticed',
    );
    await until(
      async () => {
        const { rows } = await database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'awa maintenance'`,
        );
        return rows.length === 1;
      },
      { what: 'the former leader trying' },
    );
    expect(await leader()).toBe(process.pid);
  });

  it('that is told to end hands over at once', async () => {
    const worker = await startLeader();
    const follower = await startFollower();
    worker.signal('SIGTERM');
    expect(await takenOver(follower)).toBe(process.pid);
    expect(await worker.ended()).toBe('SIGTERM');
  });
});

describe('what is prompt', () => {
  const database = useTestDatabase();
  const apps = useTestApps(database);

  it('does not wait for housekeeping that waits', async () => {
    const lock = await database.ownerClient();
    await lock.query('BEGIN; LOCK TABLE awa.dlq_entries IN ACCESS EXCLUSIVE MODE');
    await database.query(
      `INSERT INTO awa.runtime_instances (instance_id, hostname, pid, version, queues, heartbeat_at, stale_after)
       VALUES (gen_random_uuid(), 'elsewhere', 1, '0', '{other}', now() - interval '1 day', '1 millisecond')`,
    );
    const { queue } = await apps.start({
      queues: { other: {} },
      worker: { heartbeatIntervalMs: 100, heartbeatStaleMs: 20_000 },
      handlers: [handlerOf(Later, () => undefined)],
    });
    const waiting = async () => {
      const { rows } = await database.query(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'awa housekeeping' AND wait_event_type = 'Lock'`,
      );
      return rows.length === 1;
    };
    await until(waiting, { what: 'the retention of dead letters waiting' });
    const { id } = await queue.enqueue(Later, 1, { delay: 10 });
    const completed = async () => {
      const { rows } = await database.query(
        'SELECT FROM awa.completion_batches WHERE $1::bigint = ANY (job_ids)',
        [id],
      );
      return rows.length === 1;
    };
    await until(completed, { what: 'the promoted job being completed' });
    const struckOff = async () => {
      const { rows } = await database.query(`SELECT FROM awa.runtime_instances WHERE hostname = 'elsewhere'`);
      return rows.length === 0;
    };
    await until(struckOff, { what: 'the dead process being struck off' });
    expect(await waiting()).toBe(true);
    await lock.query('ROLLBACK');
  });
});
