import type { JobState, QueueService } from 'nestjs-awa';
import { QUEUE } from './queue-name.js';

/** How often the database is asked, in milliseconds: between, what this replica adds and takes is counted. */
const LOOK_MS = 250;

/** What waits in the queue, as far as this replica knows. */
export class Depth {
  private known = 0;
  private looking: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private change = 0;

  get now(): number {
    return this.known + this.change;
  }

  added(jobs: number): void {
    this.change += jobs;
  }

  taken(): void {
    this.change -= 1;
  }

  async start(queue: QueueService): Promise<void> {
    await this.look(queue);
    this.timer = setInterval(() => {
      this.looking ??= this.look(queue).finally(() => (this.looking = undefined));
    }, LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
  }

  private async look(queue: QueueService): Promise<void> {
    try {
      const { available } = await depths(queue);
      this.known = available;
      this.change = 0;
    } catch (error) {
      process.stderr.write(`the depth cannot be had: ${String(error)}\n`);
    }
  }
}

/** How many jobs of the queue are in which state; beyond 10,000 an estimate. */
export async function depths(queue: QueueService): Promise<Record<JobState, number>> {
  const counts = await queue.countJobs(QUEUE);
  return Object.fromEntries(Object.entries(counts).map(([state, { count }]) => [state, count])) as Record<
    JobState,
    number
  >;
}
