import { Inject, Injectable } from '@nestjs/common';
import { Cron, CronExpression, Interval, ScheduleModule, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import { AwaModule, defineJob, QueueService } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
import { AWA_SCHEDULE } from '../../lib/options/tokens.js';
import { until } from '../support/signals.js';
import { handlerOf, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';

const Later = defineJob('later');

const database = useTestDatabase();
const apps = useNestApps();

/** What an application has that uses @nestjs/schedule. */
@Injectable()
class Schedules {
  timeouts = 0;
  intervals = 0;
  /** When the registered job fired, at each call: another job with the same target would find the same again. */
  readonly firedAt: (number | undefined)[] = [];

  constructor(@Inject(SchedulerRegistry) readonly registry: SchedulerRegistry) {}

  @Timeout('once', 10)
  once(): void {
    this.timeouts += 1;
  }

  @Interval('often', 30)
  often(): void {
    this.intervals += 1;
  }

  @Cron(CronExpression.EVERY_SECOND, { name: 'nightly' })
  nightly(): void {
    this.firedAt.push(this.registry.getCronJob('nightly').lastDate()?.getTime());
  }
}

/** What a registry holds. */
function contents(registry: SchedulerRegistry): object {
  return {
    timeouts: registry.getTimeouts(),
    intervals: registry.getIntervals(),
    cronJobs: [...registry.getCronJobs().keys()],
  };
}

describe.each(['before', 'after'])(
  'an application that imports ScheduleModule.forRoot() %s ours',
  (position) => {
    it('has its schedules as without us, and we have ours', async () => {
      const awa = AwaModule.forRoot({ url: database.url });
      const schedule = ScheduleModule.forRoot();
      const app = await apps.start({
        imports: position === 'before' ? [schedule, awa] : [awa, schedule],
        providers: [Schedules, handlerOf(Later, () => undefined)],
      });
      const schedules = app.get(Schedules);
      const queue = app.get(QueueService);

      expect(contents(schedules.registry)).toEqual({
        timeouts: ['once'],
        intervals: ['often'],
        cronJobs: ['nightly'],
      });
      expect(app.get(SchedulerRegistry)).toBe(schedules.registry);
      expect(schedules.registry.getCronJob('nightly').isActive).toBe(true);

      // The maintenance is that of the leader, which this process becomes: on a registry of our own.
      const ours = app.get<SchedulerRegistry>(AWA_SCHEDULE, { strict: false });
      const maintenance = ['leadership', 'promotion', 'rescue', 'rings', 'unique keys'];
      await until(async () => ours.getIntervals().length > 1, { what: 'our schedules' });
      expect(ours.getIntervals()).toEqual(expect.arrayContaining(maintenance));
      expect(schedules.registry.getIntervals()).toEqual(['often']);

      // Promotion is one of our intervals.
      const { id } = await queue.enqueue(Later, {}, { delay: 50 });
      await jobIn('completed', queue, id);

      await until(async () => schedules.intervals >= 3 && schedules.firedAt.length >= 2, {
        what: 'the schedules of the application',
      });
      expect(schedules.timeouts).toBe(1);
      expect(schedules.firedAt).not.toContain(undefined);
      expect(new Set(schedules.firedAt).size).toBe(schedules.firedAt.length);

      await app.close();
      expect(contents(schedules.registry)).toEqual({ timeouts: [], intervals: [], cronJobs: [] });
      expect(contents(ours)).toEqual({ timeouts: [], intervals: [], cronJobs: [] });
    });
  },
);

describe('an application without ScheduleModule', () => {
  it('does not get one from us', async () => {
    const app = await apps.start({ imports: [AwaModule.forRoot({ url: database.url })] });
    expect(() => app.get(SchedulerRegistry)).toThrow('SchedulerRegistry');
  });

  it('has nothing in ours, and neither have we when there is no worker', async () => {
    const app = await apps.start({
      imports: [ScheduleModule.forRoot(), AwaModule.forRoot({ url: database.url, worker: false })],
      providers: [Schedules],
    });
    const ours = app.get<SchedulerRegistry>(AWA_SCHEDULE, { strict: false });
    expect(ours).not.toBe(app.get(SchedulerRegistry));
    // A process that only enqueues does not try to lead either.
    expect(contents(ours)).toEqual({ timeouts: [], intervals: [], cronJobs: [] });
  });

  it('does not have its decorators run by us', async () => {
    const app = await apps.start({
      imports: [AwaModule.forRoot({ url: database.url })],
      providers: [
        { provide: SchedulerRegistry, useValue: new SchedulerRegistry() },
        Schedules,
        handlerOf(Later, () => undefined),
      ],
    });
    const queue = app.get(QueueService);
    const { id } = await queue.enqueue(Later, {}, { delay: 50 });
    await jobIn('completed', queue, id);
    expect(app.get(Schedules)).toMatchObject({ timeouts: 0, intervals: 0 });
  });
});
