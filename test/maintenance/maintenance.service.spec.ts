import { describe, expect, it } from 'vitest';
import type { Leadership } from '../../lib/maintenance/leadership.js';
import type { MaintenanceTask } from '../../lib/maintenance/maintenance-task.interface.js';
import { type Deferred, deferred, until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';
import { QUICK, useCandidates } from './leader-fixture.js';

const database = useTestDatabase();
const candidate = useCandidates(database);

/** A task that counts its runs, each of which lasts until it is let go. */
class GatedTask implements MaintenanceTask {
  readonly intervalMs = 5;
  runs = 0;
  underWay = 0;
  mostUnderWay = 0;
  begun = 0;
  gate: Deferred<void> | undefined;

  constructor(readonly name: string) {}

  begin(): void {
    this.begun += 1;
  }

  async run(): Promise<void> {
    this.runs += 1;
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    await this.gate?.promise;
    this.underWay -= 1;
  }
}

async function leading(leadership: Leadership): Promise<void> {
  await until(async () => leadership.isLeading, { what: 'the leadership' });
}

async function leaders(): Promise<number> {
  const { rowCount } = await database.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, 'awa leader')`,
  );
  return rowCount ?? 0;
}

describe('maintenance', () => {
  it('is done by the leader alone, and by the next one when it has gone', async () => {
    const [mine, theirs] = [new GatedTask('mine'), new GatedTask('theirs')];
    const first = candidate({ tasks: () => [mine] });
    await leading(first.leadership);
    const second = candidate({ tasks: () => [theirs] });
    await until(async () => mine.runs > 20, { what: 'the work of the leader' });
    expect(theirs.runs).toBe(0);
    expect(second.registry.getIntervals()).toEqual(['leadership']);

    await first.maintenance.stop();
    const done = mine.runs;
    await until(async () => theirs.runs > 5, { what: 'the work of the next leader' });
    expect(mine.runs).toBe(done);
    expect(mine.begun).toBe(1);
    expect(first.registry.getIntervals()).toEqual([]);
  });

  it('is not overlapped, and a task that takes long holds up no other', async () => {
    const [slow, quick] = [new GatedTask('slow'), new GatedTask('quick')];
    slow.gate = deferred();
    const { leadership } = candidate({ tasks: () => [slow, quick] });
    await leading(leadership);
    await until(async () => quick.runs > 20, { what: 'the quick task' });
    expect(slow.runs).toBe(1);
    slow.gate.resolve();
    await until(async () => slow.runs > 5, { what: 'the slow task' });
    expect(slow.mostUnderWay).toBe(1);
    expect(quick.mostUnderWay).toBe(1);
  });

  it('does not overlap with itself either when the leadership is lost and won again meanwhile', async () => {
    const slow = new GatedTask('slow');
    slow.gate = deferred();
    const { leadership } = candidate({ tasks: () => [slow], timing: QUICK });
    await leading(leadership);
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND starts_with(application_name, 'awa leader')`,
    );
    await until(async () => slow.begun === 2 && leadership.isLeading, { what: 'the second time' });
    expect(slow.runs).toBe(1);
    slow.gate.resolve();
    await until(async () => slow.runs > 2, { what: 'more runs' });
    expect(slow.mostUnderWay).toBe(1);
  });

  it('is waited for by a stop', async () => {
    const slow = new GatedTask('slow');
    slow.gate = deferred();
    const { leadership, maintenance, registry } = candidate({ tasks: () => [slow] });
    await leading(leadership);
    await until(async () => slow.underWay === 1, { what: 'the task' });
    let isStopped = false;
    const stopped = maintenance.stop().then(() => (isStopped = true));
    await until(async () => (await leaders()) === 1 && registry.getIntervals().length === 0, {
      what: 'the beginning of the stop',
    });
    expect(isStopped).toBe(false);
    slow.gate.resolve();
    await stopped;
    expect(slow.underWay).toBe(0);
  });

  it('ends a loop of statements at the next one when it is stopped', async () => {
    const waiting = deferred();
    let error: unknown;
    const { leadership, maintenance } = candidate({
      tasks: (lead) => [
        {
          name: 'endless',
          intervalMs: 5,
          run: async () => {
            try {
              for (;;) {
                await lead.patient.query({ name: 'endless', text: 'SELECT 1' }, []);
                waiting.resolve();
              }
            } catch (reason) {
              error ??= reason;
              throw reason;
            }
          },
        },
      ],
    });
    await leading(leadership);
    await waiting.promise;
    await maintenance.stop();
    expect(error).toMatchObject({ name: 'LeadershipLost' });
  });

  it('may be stopped before it has begun, twice, and started after it', async () => {
    const { maintenance, leadership, registry } = candidate();
    await Promise.all([maintenance.stop(), maintenance.stop()]);
    expect(registry.getIntervals()).toEqual([]);
    maintenance.start(leadership, []);
    expect(registry.getIntervals()).toEqual(['leadership']);
    await maintenance.stop();
    expect(registry.getIntervals()).toEqual([]);
  });
});
