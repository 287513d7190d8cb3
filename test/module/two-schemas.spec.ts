import { AwaModule, defineJob, QueueService, UnknownQueueError } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { schemaName } from '../../lib/storage/schema-name.js';
import { until } from '../support/signals.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';

/** The same kind and queue in both. */
const Work = defineJob<{ n: number }>('work');
const OnlyInBlue = defineJob('only_in_blue', { queue: 'blue' });

const database = useTestDatabase({ migrated: false });
const apps = useNestApps();

async function start(schema: string): Promise<{ queue: QueueService; ran: number[] }> {
  const ran: number[] = [];
  const app = await apps.start({
    imports: [
      AwaModule.forRoot({
        url: database.url,
        schema,
        migrate: 'run',
        queues: { default: {}, ...(schema === 'Blue' ? { blue: {} } : {}) },
        // Nobody finds anything by looking: what is run has been announced.
        worker: { pollIntervalMs: 60_000 },
      }),
    ],
    providers: [handlerOf(Work, ({ args }) => ran.push(args.n))],
  });
  return { queue: app.get(QueueService), ran };
}

/** The channel of each notification that the database sends from now on. */
async function listenToBoth(): Promise<string[]> {
  const channels: string[] = [];
  const listener = await database.client();
  listener.on('notification', ({ channel }) => channels.push(channel));
  await listener.query(`LISTEN ${schemaName('red').channel}; LISTEN ${schemaName('Blue').channel}`);
  return channels;
}

describe('two applications in two schemas of one database', () => {
  it('neither run nor wake for the jobs of the other', async () => {
    const red = await start('red');
    const blue = await start('Blue');
    const channels = await listenToBoth();

    const first = await red.queue.enqueue(Work, { n: 1 });
    await jobIn('completed', red.queue, first.id);
    await until(async () => channels.length > 0, { what: 'the notification' });
    expect(channels).toEqual([schemaName('red').channel]);

    const second = await blue.queue.enqueue(Work, { n: 2 });
    await jobIn('completed', blue.queue, second.id);
    await until(async () => channels.length > 1, { what: 'the notification' });
    expect(channels).toEqual([schemaName('red').channel, schemaName('Blue').channel]);

    expect({ red: red.ran, blue: blue.ran }).toEqual({ red: [1], blue: [2] });
    const { rows } = await database.query(
      `SELECT (SELECT array_agg(args->>'n') FROM red.ready_entries) AS red,
              (SELECT array_agg(args->>'n') FROM "Blue".ready_entries) AS blue`,
    );
    expect(rows).toEqual([{ red: ['1'], blue: ['2'] }]);
  });

  it('do not know the queues of the other', async () => {
    const red = await start('red');
    const blue = await start('Blue');
    await blue.queue.enqueue(OnlyInBlue, {});
    await expect(red.queue.enqueue(OnlyInBlue, {})).rejects.toBeInstanceOf(UnknownQueueError);
  });
});
