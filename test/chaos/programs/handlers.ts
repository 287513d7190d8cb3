import { setTimeout as delay } from 'node:timers/promises';
import { type Job, JobHandler, type JobHandlerFor, snooze, type TransactionalJobContext } from 'nestjs-awa';
import { Pool } from 'pg';
import {
  type ChaosArgs,
  EffectJob,
  ExactJob,
  MortalJob,
  PlainJob,
  RetryingJob,
  SlowJob,
  UniqueJob,
} from '../chaos-jobs.js';
import { Recorder } from '../record.js';
import { readSettings } from './settings.js';

const { url, record } = readSettings();
const recorder = new Recorder(record);

/** The application's own connections, with which the library has nothing to do. */
const applicationPool = new Pool({
  connectionString: url,
  max: 2,
  application_name: 'chaos application',
  connectionTimeoutMillis: 5_000,
  query_timeout: 10_000,
});
applicationPool.on('error', () => undefined);

const INSERT_EFFECT = 'INSERT INTO public.chaos_effects (job_id, run_lease) VALUES ($1, $2)';

/** Does as the job's plan says, and records what it does. */
abstract class PlannedHandler {
  async handle(job: Job<ChaosArgs>): Promise<unknown> {
    const { id, runLease: lease, kind, attempt, maxAttempts, args } = job;
    recorder.write({ type: 'start', job: id, lease, kind, attempt, maxAttempts });
    try {
      await delay(args.workMs);
      await this.act(id, lease);
    } catch (error) {
      recorder.write({ type: 'outcome', job: id, lease, outcome: 'error' });
      throw error;
    }
    const step = args.plan[lease - 1];
    if (step === undefined) {
      recorder.write({ type: 'outcome', job: id, lease, outcome: 'completed' });
      return undefined;
    }
    recorder.write({ type: 'outcome', job: id, lease, outcome: step === 'error' ? 'error' : 'snoozed' });
    if (step === 'snooze') return snooze(50);
    throw new Error('as planned');
  }

  /** What it does besides working. */
  protected act(_jobId: string, _lease: number): Promise<void> {
    return Promise.resolve();
  }
}

@JobHandler(PlainJob)
class PlainHandler extends PlannedHandler implements JobHandlerFor<typeof PlainJob> {}

@JobHandler(RetryingJob)
class RetryingHandler extends PlannedHandler implements JobHandlerFor<typeof RetryingJob> {}

@JobHandler(MortalJob)
class MortalHandler extends PlannedHandler implements JobHandlerFor<typeof MortalJob> {}

@JobHandler(SlowJob)
class SlowHandler extends PlannedHandler implements JobHandlerFor<typeof SlowJob> {}

@JobHandler(UniqueJob)
class UniqueHandler extends PlannedHandler implements JobHandlerFor<typeof UniqueJob> {}

@JobHandler(EffectJob)
class EffectHandler extends PlannedHandler implements JobHandlerFor<typeof EffectJob> {
  protected override async act(jobId: string, lease: number): Promise<void> {
    await applicationPool.query(INSERT_EFFECT, [jobId, lease]);
    recorder.write({ type: 'effect', job: jobId, lease });
  }
}

/** What it says of its end counts if its transaction commits, and then its effect is there too. */
@JobHandler(ExactJob, { transactional: true })
class ExactHandler {
  async handle(job: Job<ChaosArgs>, { manager }: TransactionalJobContext): Promise<void> {
    const { id, runLease: lease, kind, attempt, maxAttempts, args } = job;
    recorder.write({ type: 'start', job: id, lease, kind, attempt, maxAttempts });
    await delay(args.workMs);
    await manager.query(INSERT_EFFECT, [id, lease]);
    recorder.write({ type: 'effect', job: id, lease });
    recorder.write({ type: 'outcome', job: id, lease, outcome: 'completed' });
  }
}

/** One handler a kind of chaos-jobs.ts; a kind that is added there (with its rules) gets its handler here. */
export const HANDLERS = [
  PlainHandler,
  RetryingHandler,
  MortalHandler,
  SlowHandler,
  UniqueHandler,
  EffectHandler,
  ExactHandler,
];
