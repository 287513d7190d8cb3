import { Inject, Injectable, Logger } from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { AWA_SCHEDULE } from '../options/tokens.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';

/**
 * Runs maintenance tasks on a schedule registry of the library's own, so that neither the application's registry nor its
 * decorators are disturbed. A task never overlaps itself, a slow one delays no other, a failing one is tried again at its
 * next interval, and stop() waits for those under way.
 */
@Injectable()
export class MaintenanceService {
  private readonly logger = new Logger('Awa maintenance');
  private readonly running = new Map<MaintenanceTask, Promise<void>>();
  private readonly failing = new Set<MaintenanceTask>();

  constructor(@Inject(AWA_SCHEDULE) private readonly registry: SchedulerRegistry) {}

  /** Also again, after stop(). */
  start(tasks: readonly MaintenanceTask[]): void {
    for (const task of tasks) {
      this.registry.addInterval(
        task.name,
        setInterval(() => this.tick(task), task.intervalMs),
      );
    }
  }

  /** Resolves when no task is under way and none will be. */
  async stop(): Promise<void> {
    for (const name of this.registry.getIntervals()) this.registry.deleteInterval(name);
    await Promise.all(this.running.values());
  }

  private tick(task: MaintenanceTask): void {
    if (this.running.has(task)) return;
    const run = this.attempt(task).finally(() => this.running.delete(task));
    this.running.set(task, run);
  }

  private async attempt(task: MaintenanceTask): Promise<void> {
    try {
      await task.run();
      if (this.failing.delete(task)) this.logger.log(`${task.name} works again`);
    } catch (error) {
      if (this.failing.has(task)) return;
      this.failing.add(task);
      this.logger.warn(
        `${task.name} failed, trying again: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
