import { Logger } from '@nestjs/common';
import type { ClaimedJob } from '../storage/operations/claim-jobs.js';
import type { Settlement } from '../storage/operations/close-attempts.js';
import type { ClosedState } from './completion-batcher.js';

const logger = new Logger('Awa jobs');

/** Logs what an operator wants to see of ended attempts: failures. */
export function reportClosed(job: ClaimedJob, state: ClosedState, settlement: Settlement | undefined): void {
  if (settlement?.error === undefined) return;
  const attempt = `job ${job.jobId} (${job.kind}), attempt ${job.attempt} of ${job.maxAttempts}`;
  const [reason] = settlement.error.split('\n', 1);
  if (state === 'failed') logger.error(`${attempt}: failed for good: ${reason}`);
  else if (state === 'retryable') logger.warn(`${attempt}: failed, will be tried again: ${reason}`);
  else if (state === 'cancelled') logger.log(`${attempt}: cancelled: ${reason}`);
}
