import { Inject, Injectable } from '@nestjs/common';
import { Cron, CronExpression, Interval, ScheduleModule, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import { AwaModule, defineJob, QueueService } from 'nestjs-awa';
import { describe, expect, it } from 'vitest';
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
    });
  },
);

describe('an application without ScheduleModule', () => {
  it('does not get one from us', async () => {
    const app = await apps.start({ imports: [AwaModule.forRoot({ url: database.url })] });
    expect(() => app.get(SchedulerRegistry)).toThrow('SchedulerRegistry');
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
