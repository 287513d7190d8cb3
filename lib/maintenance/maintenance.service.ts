import { Inject, Injectable, Logger } from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { AWA_SCHEDULE } from '../options/tokens.js';
import type { Leadership } from './leadership.js';
import { LeadershipLost } from './leadership-lost.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';
import { within } from './within.js';

/** How long a stop waits for the statements of the tasks, in milliseconds, before it cuts their connections. */
const PATIENCE_MS = 5_000;

/**
 * Runs maintenance tasks while this process leads, on a schedule registry of the library's own, so that neither the application's
 * registry nor its decorators are disturbed. A task never overlaps itself, a slow one delays no other, a failing one is tried
 * again at its next interval, and stop() waits for those under way.
 *
 * States: new -> following <-> leading (as the leadership says) -> stopped. stop() in any state, any number of times.
 */
@Injectable()
export class MaintenanceService {
  private readonly logger = new Logger('Awa maintenance');
  private readonly running = new Map<MaintenanceTask, Promise<void>>();
  private readonly failing = new Set<MaintenanceTask>();
  private leadership: Leadership | undefined;
  private stopping: Promise<void> | undefined;

  constructor(@Inject(AWA_SCHEDULE) private readonly registry: SchedulerRegistry) {}

  /** Also again, after stop(). */
  start(leadership: Leadership, tasks: readonly MaintenanceTask[]): void {
    this.stopping = undefined;
    this.leadership = leadership;
    leadership.observe((leads) => {
      for (const task of tasks) {
        if (leads) this.schedule(task);
        else this.unschedule(task.name);
      }
    });
    this.schedule(leadership);
  }

  /** The leader has gone: tries to take its place. */
  takeOver(): void {
    if (this.leadership === undefined || this.stopping !== undefined) return;
    this.leadership.expectVacancy();
    this.tick(this.leadership);
  }

  /** Resolves when no task is under way and none will be, and somebody else may lead. */
  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private async end(): Promise<void> {
    for (const name of this.registry.getIntervals()) this.unschedule(name);
    this.leadership?.fence();
    await within(PATIENCE_MS, Promise.all(this.running.values()));
    await this.leadership?.close();
    await Promise.all(this.running.values());
  }

  /** The first run is at once: a new leader may find much to do. */
  private schedule(task: MaintenanceTask): void {
    if (this.stopping !== undefined) return;
    task.begin?.();
    this.registry.addInterval(
      task.name,
      setInterval(() => this.tick(task), task.intervalMs),
    );
    this.tick(task);
  }

  private unschedule(name: string): void {
    if (this.registry.doesExist('interval', name)) this.registry.deleteInterval(name);
  }

  private tick(task: MaintenanceTask): void {
    if (this.running.has(task)) return;
    const run = this.attempt(task).finally(() => this.running.delete(task));
    this.running.set(task, run);
  }

  private async attempt(task: MaintenanceTask): Promise<void> {
    try {
      const wasDue = (await task.run()) !== false;
      if (wasDue && this.failing.delete(task)) this.logger.log(`${task.name} works again`);
    } catch (error) {
      if (error instanceof LeadershipLost || this.failing.has(task)) return;
      this.failing.add(task);
      this.logger.warn(
        `${task.name} failed, trying again: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
