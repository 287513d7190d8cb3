import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { AccessDeniedError, defineJob } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { deferred } from '../support/signals.js';
import { handlerOf, jobIn, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useTestRoles } from '../support/test-roles.js';

const Greet = defineJob<{ name: string }>('greet');

const database = useTestDatabase();
const apps = useTestApps(database);
const makeRole = useTestRoles(database);

describe('a process that only enqueues, with the access "producer"', () => {
  it('boots, and enqueues for a worker', async () => {
    const greeted = deferred<string>();
    const worker = await apps.start({
      handlers: [handlerOf(Greet, ({ args }) => greeted.resolve(args.name))],
    });
    const { url } = await makeRole('producer');
    const producer = await apps.start({ url, worker: false });

    const { id } = await producer.queue.enqueue(Greet, { name: 'Ada' }, { unique: { key: 'ada' } });

    expect(await greeted.promise).toBe('Ada');
    await jobIn('completed', worker.queue, id);
  });

  it('enqueues in a transaction of its own tables', async () => {
    await apps.start({ worker: false });
    const { url } = await makeRole('producer');
    const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
    const producer = await apps.start({ dataSource, worker: false });
    const { id } = await dataSource.transaction((manager) =>
      producer.queue.enqueue(Greet, { name: 'Ada' }, { manager }),
    );
    expect((await database.query('SELECT FROM awa.ready_entries WHERE job_id = $1', [id])).rowCount).toBe(1);
    await producer.close();
    await dataSource.destroy();
  });

  it('is told which of its queues nobody has registered', async () => {
    await apps.start({ worker: false, queues: { known: {} } });
    const { url } = await makeRole('producer');
    const queues = { known: {}, unknown: {} };
    await expect(apps.start({ url, worker: false, queues })).rejects.toMatchObject({
      code: 'AWA_BOOT',
      problems: [expect.stringContaining('queue "unknown" is not registered')],
    });
    await database.query("SELECT awa.register_queues('{unknown}')");
    await expect(apps.start({ url, worker: false, queues })).resolves.toBeDefined();
  });

  it('is told what to have granted when it reads or cancels', async () => {
    const { queue: all } = await apps.start({ worker: false });
    const { id } = await all.enqueue(Greet, { name: 'Ada' });
    const { url } = await makeRole('producer');
    const { queue } = await apps.start({ url, worker: false });
    await expect(queue.getJob(id)).rejects.toMatchObject({
      code: 'AWA_ACCESS_DENIED',
      access: 'reader',
      message: expect.stringMatching(/permission denied.*"awa"\.grant_role\('.*', 'reader'\)/),
    });
    await expect(queue.cancelJob(id)).rejects.toMatchObject({ code: 'AWA_ACCESS_DENIED', access: 'runtime' });
  });
});

describe('a role without the right for it', () => {
  it.each([
    ['nothing', undefined, false, 'producer'],
    ['nothing', undefined, true, 'runtime'],
    ['producer', 'producer', true, 'runtime'],
    ['reader', 'reader', true, 'runtime'],
  ] as const)(
    '(%s granted: %s) does not start a process (worker: %s), and is named',
    async (_, access, worker, needed) => {
      await apps.start({ worker: false });
      const { name, url } = await makeRole(access);
      const error: unknown = await apps.start({ url, worker }).catch((refusal: unknown) => refusal);
      expect(error).toBeInstanceOf(AccessDeniedError);
      expect(error).toMatchObject({
        access: needed,
        message: expect.stringContaining(`SELECT "awa".grant_role('${name}', '${needed}')`),
      });
      await database.query('SELECT awa.grant_role($1, $2)', [name, needed]);
      await expect(apps.start({ url, worker })).resolves.toBeDefined();
    },
  );

  it('reads under the access "reader", and is told so when it enqueues', async () => {
    const { queue: all } = await apps.start({ worker: false });
    const { id } = await all.enqueue(Greet, { name: 'Ada' });
    const { url } = await makeRole('reader');
    const { queue } = await apps.start({ url, worker: false });
    expect(await queue.getJob(id)).toMatchObject({ id, state: 'available' });
    expect(await queue.countJobs('default')).toMatchObject({ available: { exact: true } });
    await expect(queue.enqueue(Greet, { name: 'Ada' })).rejects.toMatchObject({ access: 'producer' });
  });

  it('does not migrate, and boots with migrate "run" when there is nothing to do', async () => {
    const schema = `s_${randomUUID().replaceAll('-', '')}`;
    const { url } = await makeRole('runtime');
    await expect(apps.start({ url, schema, migrate: 'run' })).rejects.toMatchObject({
      code: 'AWA_BOOT',
      problems: [expect.stringContaining('run the migrations with the role that owns it')],
    });
    await expect(apps.start({ url, migrate: 'run' })).resolves.toBeDefined();
  });
});
