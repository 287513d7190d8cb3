import { setTimeout as delay } from 'node:timers/promises';
import { defineJob, type Job, JobHandler, type JobHandlerFor } from 'nestjs-awa';
import type { Depth } from './depth.js';
import type { Measurements } from './measurements.js';

export interface BenchArgs {
  /** When the producer made the job, in milliseconds since the epoch; all replicas have one clock. */
  readonly sentAt: number;
  readonly pad: string;
}

export const BenchJob = defineJob<BenchArgs, 'bench'>('bench');

/** Now, in milliseconds since the epoch and parts of them. */
export const clock = (): number => performance.timeOrigin + performance.now();

/** A handler class that takes so many milliseconds for a job. */
export function benchHandler(workMs: number, measurements: Measurements, depth: Depth) {
  @JobHandler(BenchJob)
  class BenchHandler implements JobHandlerFor<typeof BenchJob> {
    async handle({ args: { sentAt } }: Job<BenchArgs>): Promise<void> {
      depth.taken();
      measurements.started(clock() - sentAt);
      if (workMs > 0) await delay(workMs);
      measurements.ended(clock() - sentAt);
    }
  }
  return BenchHandler;
}
