import { Inject, Injectable, Scope } from '@nestjs/common';
import { type ContextId, ContextIdFactory, REQUEST } from '@nestjs/core';
import { AwaModule, defineJob, type Job, JobHandler, QueueService } from 'nestjs-awa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { useNestApps } from '../module/nest-apps.js';
import { jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<{ tenant: string; n: number }, 'work'>('work');

describe('the scope of a handler', () => {
  const database = useTestDatabase();
  const apps = useNestApps();
  let events: string[];
  let made: number;

  beforeEach(() => {
    events = [];
    made = 0;
  });

  // Nest keeps the strategy for the whole process.
  afterEach(() => ContextIdFactory.apply(undefined as never));

  async function run(providers: (new (...args: never[]) => object)[], jobs: { tenant: string; n: number }[]) {
    const app = await apps.start({ imports: [AwaModule.forRoot({ url: database.url })], providers });
    const queue = app.get(QueueService);
    for (const args of jobs) {
      const { id } = await queue.enqueue(Work, args);
      await jobIn('completed', queue, id);
    }
  }

  it('REQUEST: one instance a job, and of what it depends on, with the job as REQUEST', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Connection {
      readonly number = (made += 1);
      constructor(@Inject(REQUEST) readonly job: Job<{ n: number }>) {}
    }
    @Injectable()
    class Repository {
      constructor(@Inject(Connection) readonly connection: Connection) {}
    }
    @JobHandler(Work)
    class Handler {
      constructor(
        @Inject(Connection) private readonly connection: Connection,
        @Inject(Repository) private readonly repository: Repository,
      ) {}

      handle(job: Job<{ n: number }>): void {
        const { number, job: request } = this.connection;
        events.push(`${number} ${request === job} ${this.repository.connection === this.connection}`);
      }
    }
    await run(
      [Connection, Repository, Handler],
      [1, 2].map((n) => ({ tenant: 'a', n })),
    );
    expect(events).toEqual(['1 true true', '2 true true']);
  });

  it('durable: one instance a tenant, as the strategy of the application says', async () => {
    const tenants = new Map<string, ContextId>();
    ContextIdFactory.apply({
      attach: (contextId, job: Job<{ tenant: string }>) => {
        const { tenant } = job.args;
        const shared = tenants.get(tenant) ?? ContextIdFactory.create();
        tenants.set(tenant, shared);
        return {
          resolve: ({ isTreeDurable }) => (isTreeDurable ? shared : contextId),
          payload: { tenant },
        };
      },
    });
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Connection {
      readonly number = (made += 1);
      constructor(@Inject(REQUEST) readonly request: { tenant: string }) {}
    }
    @JobHandler(Work)
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Handler {
      constructor(@Inject(Connection) private readonly connection: Connection) {}

      handle({ args }: Job<{ tenant: string; n: number }>): void {
        const { number, request } = this.connection;
        events.push(`${args.n} of ${args.tenant}: ${number} of ${request.tenant}`);
      }
    }
    await run(
      [Connection, Handler],
      ['a', 'b', 'a', 'b'].map((tenant, n) => ({ tenant, n })),
    );
    expect(events).toEqual(['0 of a: 1 of a', '1 of b: 2 of b', '2 of a: 1 of a', '3 of b: 2 of b']);
  });
});
