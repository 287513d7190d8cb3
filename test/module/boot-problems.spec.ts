import { Injectable, type OnApplicationBootstrap, type OnModuleInit } from '@nestjs/common';
import { AwaModule, type AwaModuleOptions, BootError, defineJob, JobHandler } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { handlerOf } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';
import { useSessions } from './sessions.js';

const Email = defineJob<{ to: string }>('email');
const Report = defineJob('report', { queue: 'reports' });
const Forgotten = defineJob('forgotten');

@JobHandler(Email)
class EmailHandler {
  handle(): void {}
}

@JobHandler(Email)
class NewEmailHandler {
  handle(): void {}
}

const database = useTestDatabase();
const sessions = useSessions(database);
const apps = useNestApps();

const awa = (options: AwaModuleOptions = {}) => AwaModule.forRoot({ url: database.url, ...options });

describe('handlers that do not fit together', () => {
  it('keep the application from starting with one error for all of them, and nothing is left open', async () => {
    const start = apps.start({
      imports: [awa({ jobs: [Email, Forgotten] })],
      providers: [EmailHandler, NewEmailHandler, handlerOf(Report, () => undefined)],
    });

    const error: unknown = await start.catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(BootError);
    expect(error).toMatchObject({
      problems: [
        'Job kind "email" has 2 handlers, EmailHandler (in AppModule) and NewEmailHandler (in AppModule): keep one of them.',
        expect.stringContaining('queue "reports", which is not configured (configured: "default")'),
        expect.stringContaining('Job kind "forgotten" has no handler'),
      ],
    });
    await expect(sessions.allGone()).resolves.toBeUndefined();
  });

  it('do not matter to a process that only enqueues', async () => {
    const app = await apps.start({ imports: [awa({ worker: false, jobs: [Forgotten] })] });
    await app.close();
    await expect(sessions.allGone()).resolves.toBeUndefined();
  });
});

describe('nothing is left open', () => {
  it('when the worker cannot be registered', async () => {
    const client = await database.ownerClient();
    await client.query('ALTER TABLE awa.runtime_instances ADD CONSTRAINT none CHECK (false) NOT VALID');
    await expect(apps.start({ imports: [awa()] })).rejects.toMatchObject({ code: '23514' });
    await client.query('ALTER TABLE awa.runtime_instances DROP CONSTRAINT none');
    await client.end();
    await expect(sessions.allGone()).resolves.toBeUndefined();
  });

  it('when the schema is not of our version', async () => {
    await expect(apps.start({ imports: [awa({ schema: 'missing' })] })).rejects.toThrow('has no queue in it');
    await expect(sessions.allGone()).resolves.toBeUndefined();
  });

  it('of the worker when a provider of the application fails to start, wherever it is', async () => {
    @Injectable()
    class Fails implements OnApplicationBootstrap {
      onApplicationBootstrap(): void {
        throw new Error('cannot start');
      }
    }
    await expect(apps.start({ imports: [awa()], providers: [Fails] })).rejects.toThrow('cannot start');
    expect(await sessions.names()).not.toContain('awa worker');
    expect(await sessions.names()).not.toContain('awa listener');
  });

  it('of the worker when a module fails before', async () => {
    @Injectable()
    class Fails implements OnModuleInit {
      onModuleInit(): void {
        throw new Error('cannot init');
      }
    }
    await expect(apps.start({ imports: [awa()], providers: [Fails] })).rejects.toThrow('cannot init');
    expect(await sessions.names()).not.toContain('awa worker');
  });
});
