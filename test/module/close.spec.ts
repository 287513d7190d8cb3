import { AwaModule, defineJob, QueueService } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { useCompiledPrograms } from '../support/compiled-programs.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';
import { useSessions } from './sessions.js';

const Ping = defineJob('ping', { queue: 'pings' });

const database = useTestDatabase();
const sessions = useSessions(database);
const apps = useNestApps();
const programs = useCompiledPrograms(import.meta.dirname);

/** Much less than an idle pool keeps its connections, or than any of our intervals takes in the long run. */
const LINGER_MS = 2_000;

function atOnce(outcome: string): object {
  const isShort: unknown = expect.toSatisfy((ms: number) => ms < LINGER_MS);
  return { outcome, timers: [], lingeredMs: isShort };
}

describe('app.close()', () => {
  it('closes every connection, and a second one does no harm', async () => {
    const errors: unknown[] = [];
    const logger = {
      log: () => undefined,
      warn: () => undefined,
      error: (error: unknown) => errors.push(error),
    };
    const app = await apps.start(
      {
        imports: [AwaModule.forRoot({ url: database.url, queues: { pings: {} } })],
        providers: [handlerOf(Ping, () => undefined)],
      },
      logger,
    );
    const queue = app.get(QueueService);
    const { id } = await queue.enqueue(Ping, {});
    await jobIn('completed', queue, id);
    expect(await sessions.names()).toEqual(expect.arrayContaining(['awa', 'awa listener', 'awa worker']));

    await Promise.all([app.close(), app.close()]);
    await expect(sessions.allGone()).resolves.toBeUndefined();
    await app.close();
    expect(errors).toEqual([]);
  });

  it("closes our connections only, and the application's with its DataSource", async () => {
    const app = await apps.start({
      imports: [apps.typeOrm(database.url), AwaModule.forRoot({ queues: { pings: {} } })],
    });
    await app.close();
    await expect(sessions.allGone()).resolves.toBeUndefined();
  });

  it.each(['url', 'dataSource', 'producer'])('lets the process end by itself (%s)', async (mode) => {
    const { ended } = programs.start('application', mode, database.url);
    const { code, stdout, stderr } = await ended;
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual(atOnce('closed'));
    expect(code).toBe(0);
    await expect(sessions.allGone()).resolves.toBeUndefined();
  });
});

describe('an application that cannot start', () => {
  it('lets the process end by itself', async () => {
    const { code, stdout } = await programs.start('application', 'broken', database.url).ended;
    expect(JSON.parse(stdout)).toEqual(atOnce('BootError'));
    expect(code).toBe(0);
    await expect(sessions.allGone()).resolves.toBeUndefined();
  });
});
