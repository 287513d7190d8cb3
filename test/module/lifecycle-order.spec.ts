import {
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { AwaModule, defineJob, JobHandler, type JobOf, QueueService } from 'nestjs-awa';
import { beforeEach, describe, expect, it } from 'vitest';
import { jobCounts } from '../support/job-counts.js';
import { deferred, type Deferred } from '../support/signals.js';
import { jobIn } from '../support/test-app.js';
import { type TestDatabase, useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';

const Work = defineJob<{ n: number }>('work');

const apps = useNestApps();

let database: TestDatabase;
let events: string[];
let ran: Deferred<void>;

/** Something a handler uses, with a life of its own. */
class Resource implements OnApplicationBootstrap, OnModuleDestroy {
  constructor(private readonly name: string) {}

  async onApplicationBootstrap(): Promise<void> {
    events.push(`${this.name} starts`);
    // Jobs that ran already would have come by now.
    const app = await apps.start({ imports: [AwaModule.forRoot({ url: database.url, worker: false })] });
    await app.get(QueueService).countJobs('default');
    events.push(`${this.name} is up`);
  }

  async onModuleDestroy(): Promise<void> {
    events.push(`${this.name} is gone`);
  }
}

@Injectable()
class FeatureResource extends Resource {
  constructor() {
    super('feature');
  }
}

@Injectable()
class RootResource extends Resource {
  constructor() {
    super('root');
  }
}

@JobHandler(Work)
class WorkHandler {
  constructor(@Inject(FeatureResource) readonly resource: FeatureResource) {}

  handle({ args }: JobOf<typeof Work>): void {
    events.push(`job ${args.n} runs`);
    ran.resolve();
  }
}

@Module({ providers: [FeatureResource, WorkHandler] })
class FeatureModule {}

beforeEach(() => {
  events = [];
  ran = deferred();
});

describe.each(['first', 'last'])('AwaModule, imported %s', (position) => {
  const own = useTestDatabase();

  beforeEach(() => {
    database = own;
  });

  it("works from when the last of the application's providers is up until the first one goes", async () => {
    const awa = AwaModule.forRoot({ url: database.url });
    const producer = await apps.start({ imports: [AwaModule.forRoot({ url: database.url, worker: false })] });
    const queue = producer.get(QueueService);
    const waiting = await queue.enqueue(Work, { n: 1 });

    const app = await apps.start({
      imports: position === 'first' ? [awa, FeatureModule] : [FeatureModule, awa],
      providers: [RootResource, { provide: 'late', useFactory: () => lateProducer(queue) }],
    });
    await ran.promise;
    await jobIn('completed', queue, waiting.id);
    await app.close();

    expect(events).toEqual([
      'feature starts',
      'feature is up',
      'root starts',
      'root is up',
      'job 1 runs',
      'root is gone',
      'feature is gone',
    ]);
    // Enqueued while the application was closing: left for others.
    expect(await jobCounts(queue, 'default')).toMatchObject({ available: 1, running: 0 });
  });
});

/** Enqueues as the first provider of the root module is destroyed. */
function lateProducer(queue: QueueService): OnModuleDestroy {
  return {
    onModuleDestroy: async () => {
      await queue.enqueue(Work, { n: 2 });
    },
  };
}
