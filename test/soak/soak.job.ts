import { cancel, defineJob, fail, type Job, JobHandler, type JobHandlerFor, snooze } from 'nestjs-awa';
import type { History } from './history.js';

/** What is to happen to a job: its first attempts end as the plan says, the last one as `ending`. */
export interface SoakPlan {
  /** `die`: it becomes a dead letter, and goes on when somebody retries it. */
  readonly plan: readonly ('error' | 'snooze' | 'die')[];
  readonly ending: 'complete' | 'fail' | 'cancel';
  readonly pad: string;
  /** For unique jobs: their key. */
  readonly key?: string;
}

const retry = { baseMs: 100, factor: 1.5, maxMs: 2_000 };

export const SoakJob = defineJob<SoakPlan, 'soak'>('soak', { queue: 'soak', maxAttempts: 10, retry });

/** Failing for good, it becomes a dead letter. */
export const MortalJob = defineJob<SoakPlan, 'mortal'>('mortal', { queue: 'mortal', maxAttempts: 10, retry });

/** Of jobs with one key one lives at a time. */
export const UniqueJob = defineJob<SoakPlan, 'unique'>('unique', {
  queue: 'soak',
  maxAttempts: 10,
  retry,
  unique: { args: ['key'] },
});

/** Does as the job's plan says, and tells the history. */
abstract class PlannedHandler {
  static history: History;

  readonly handle = async (job: Job<SoakPlan>): Promise<unknown> => {
    const { history } = PlannedHandler;
    const { plan, ending, key } = job.args;
    history.start(job.id, job.runLease, key);
    history.latenciesMs.push(Date.now() - job.runAt.getTime());
    await new Promise((resolve) => setTimeout(resolve, 1));
    switch (plan[job.runLease - 1]) {
      case 'error':
        throw new Error('as planned');
      case 'snooze':
        return snooze(50);
      case 'die':
        history.buried += 1;
        return fail('to be retried or purged');
      case undefined:
    }
    switch (ending) {
      case 'complete':
        history.end(job.id, 'completed', key);
        return undefined;
      case 'fail':
        history.end(job.id, 'failed', key);
        return fail('as planned');
      case 'cancel':
        history.end(job.id, 'cancelled', key);
        return cancel('as planned');
    }
  };
}

@JobHandler(SoakJob)
export class SoakHandler extends PlannedHandler implements JobHandlerFor<typeof SoakJob> {}

@JobHandler(MortalJob)
export class MortalHandler extends PlannedHandler implements JobHandlerFor<typeof MortalJob> {}

@JobHandler(UniqueJob)
export class UniqueHandler extends PlannedHandler implements JobHandlerFor<typeof UniqueJob> {}

export function recordIn(history: History): void {
  PlannedHandler.history = history;
}
