import { setTimeout as sleep } from 'node:timers/promises';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, JobHandler, type JobContext, type JobOf } from 'nestjs-awa';
import { DataSource, IsNull } from 'typeorm';
import { Document } from './document.entity.js';
import { IndexDocument } from './index-document.job.js';
import { indexMarkdown } from './markdown.js';
import { QuickstartOptions } from './quickstart-options.js';
import { readDocument, UnreadableDocumentError } from './read-document.js';

type IndexDocumentJob = JobOf<typeof IndexDocument>;

// CHANGELOG.md, History.md: the documents that play the flaky dependency.
const CHANGE_LOG = /(^|\/)(changelog|history)\.md$/i;

@JobHandler(IndexDocument)
export class IndexDocumentHandler {
  /** Attempts that this process is working on right now. */
  inFlight = 0;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly options: QuickstartOptions,
  ) {}

  async handle(job: IndexDocumentJob, { signal }: JobContext) {
    const pickupMs = Date.now() - Math.max(job.runAt.getTime(), job.createdAt.getTime());
    this.inFlight += 1;
    try {
      // Everything that waits takes the signal: on shutdown it ends early and the job goes back unharmed.
      if (this.options.paceMs > 0) await sleep(this.options.paceMs, undefined, { signal });
      return await this.index(job, pickupMs);
    } finally {
      this.inFlight -= 1;
    }
  }

  private async index(job: IndexDocumentJob, pickupMs: number) {
    const { path } = job.args;
    if (CHANGE_LOG.test(path) && job.attempt <= 2) {
      // An ordinary error: the attempt failed, and the retry policy says when the next one is due.
      throw new Error(`${path} pretends to be unavailable (attempt ${job.attempt} of ${job.maxAttempts})`);
    }
    try {
      await this.settle(job, pickupMs, indexMarkdown(await readDocument(path)));
      return undefined;
    } catch (error) {
      if (!(error instanceof UnreadableDocumentError)) throw error;
      await this.settle(job, pickupMs, { failure: error.message });
      // No attempt can help here, so none of the remaining ones is used up.
      return fail(error.message);
    }
  }

  /**
   * Stores the outcome if it is the first one for this document. A job is delivered at least once: an attempt
   * whose process was killed after this commit, and before the queue heard of it, runs again. So what a
   * handler does has to be safe to do twice, which here is the `IS NULL`; the counter shows that it happened.
   */
  private async settle(job: IndexDocumentJob, pickupMs: number, outcome: Partial<Document>): Promise<void> {
    const { documentId: id } = job.args;
    await this.dataSource.transaction(async (manager) => {
      await manager.update(
        Document,
        { id, settledAt: IsNull() },
        { ...outcome, settledAt: new Date(), attempt: job.attempt, pickupMs },
      );
      await manager.increment(Document, { id }, 'timesSettled', 1);
    });
  }
}
