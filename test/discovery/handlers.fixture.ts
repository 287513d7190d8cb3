import { defineJob, JobHandler } from '../../lib/jobs/index.js';

export const Email = defineJob<{ to: string }, 'email'>('email', { queue: 'mail' });
export const Reindex = defineJob<{ id: string }, 'reindex'>('reindex');

@JobHandler(Email)
export class EmailHandler {
  handle(): string {
    return 'sent';
  }
}

@JobHandler(Email)
export class OtherEmailHandler {
  handle(): string {
    return 'sent otherwise';
  }
}

@JobHandler(Reindex)
export class ReindexHandler {
  handle(): string {
    return 'done';
  }
}

export class Plain {
  handle(): string {
    return 'not a job';
  }
}
