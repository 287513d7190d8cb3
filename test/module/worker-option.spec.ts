import { AwaModule, type AwaModuleOptions, defineJob, QueueService } from 'nestjs-awa';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { describe, expect, it } from 'vitest';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';
import { useSessions } from './sessions.js';

const Email = defineJob<{ to: string }>('email', { queue: 'email' });
const Report = defineJob('report', { queue: 'reports' });
const Image = defineJob('image', { queue: 'images' });

const database = useTestDatabase();
const sessions = useSessions(database);
const apps = useNestApps();

/** Starts a process that knows both queues and handles both kinds. */
async function start(options: AwaModuleOptions): Promise<{ queue: QueueService; ran: string[] }> {
  const ran: string[] = [];
  const record = ({ kind }: { kind: string }) => {
    ran.push(kind);
  };
  const app = await apps.start({
    imports: [AwaModule.forRoot({ queues: { email: {}, reports: {} }, ...options })],
    providers: [handlerOf(Email, record), handlerOf(Report, record)],
  });
  return { queue: app.get(QueueService), ran };
}

describe('worker: false', () => {
  it('opens no connection for work, and enqueues for others', async () => {
    const producer = await start({ url: database.url, worker: false });
    const { id } = await producer.queue.enqueue(Email, { to: 'ada@example.com' });

    await expect(sessions.become('awa')).resolves.toBeUndefined();
    expect(await instances()).toBe(0);
    expect(await jobIn('available', producer.queue, id)).toMatchObject({ attempt: 0 });

    const worker = await start({ url: database.url });
    await jobIn('completed', producer.queue, id);
    expect(worker.ran).toEqual(['email']);
    expect(producer.ran).toEqual([]);
    await expect(sessions.become('awa', 'awa', 'awa listener', 'awa worker')).resolves.toBeUndefined();
  });

  it("uses nothing but the application's own pool where there is one", async () => {
    const dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      applicationName: 'application',
      poolSize: 1,
    });
    await dataSource.initialize();
    const app = await apps.start({
      imports: [AwaModule.forRoot({ dataSource, worker: false, queues: { images: {} } })],
    });
    const queue = app.get(QueueService);
    await dataSource.transaction((manager) => queue.enqueue(Image, {}, { manager }));
    await expect(sessions.become('application')).resolves.toBeUndefined();
    await dataSource.destroy();
  });
});

describe('worker.queues', () => {
  it('limits a process to the queues that are listed, though it may enqueue to all', async () => {
    const reports = await start({ url: database.url, worker: { queues: ['reports'] } });
    const email = await reports.queue.enqueue(Email, { to: 'ada@example.com' });
    const report = await reports.queue.enqueue(Report, {});
    await jobIn('completed', reports.queue, report.id);
    // A turn of the claimer looks at all of its queues, and the e-mail was there before.
    await jobIn('available', reports.queue, email.id);
    expect(reports.ran).toEqual(['report']);

    const rest = await start({ url: database.url, worker: { queues: ['email'] } });
    await jobIn('completed', reports.queue, email.id);
    expect(rest.ran).toEqual(['email']);
  });
});

/** Worker processes that the database knows. */
async function instances(): Promise<number> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query<{ n: number }>('SELECT count(*)::int AS n FROM awa.runtime_instances');
  await client.end();
  return rows[0]?.n ?? Number.NaN;
}
