import { cancel, defineJob, fail, type Job, JobHandler, type JobHandlerFor, snooze } from 'nestjs-awa';
import type { History } from './history.js';

/** What is to happen to a job: its first attempts end as the plan says, the last one as `ending`. */
export interface SoakPlan {
  readonly plan: readonly ('error' | 'snooze')[];
  readonly ending: 'complete' | 'fail' | 'cancel';
  readonly pad: string;
}

export const SoakJob = defineJob<SoakPlan, 'soak'>('soak', {
  queue: 'soak',
  maxAttempts: 10,
  retry: { baseMs: 100, factor: 1.5, maxMs: 2_000 },
});

/** Does as the job's plan says, and tells the history. */
@JobHandler(SoakJob)
export class SoakHandler implements JobHandlerFor<typeof SoakJob> {
  static history: History;

  readonly handle = async (job: Job<SoakPlan>): Promise<unknown> => {
    const { history } = SoakHandler;
    history.start(job.id, job.runLease);
    history.latenciesMs.push(Date.now() - job.runAt.getTime());
    await new Promise((resolve) => setTimeout(resolve, 1));
    const step = job.args.plan[job.runLease - 1];
    if (step === 'error') throw new Error('as planned');
    if (step === 'snooze') return snooze(50);
    switch (job.args.ending) {
      case 'complete':
        history.end(job.id, 'completed');
        return undefined;
      case 'fail':
        history.end(job.id, 'failed');
        return fail('as planned');
      case 'cancel':
        history.end(job.id, 'cancelled');
        return cancel('as planned');
    }
  };
}
