import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { QueueService, type JobState } from 'nestjs-awa';
import { IsNull, Not, Repository } from 'typeorm';
import { Document } from './document.entity.js';
import { IndexDocument } from './index-document.job.js';

/** How far the work has come, whoever did it. */
export interface IndexingSnapshot {
  readonly documents: number;
  readonly settled: number;
  readonly jobs: Readonly<Record<JobState, number>>;
  /** Jobs that are not over yet. */
  readonly openJobs: number;
}

const FINAL_STATES: ReadonlySet<string> = new Set<JobState>(['completed', 'failed', 'cancelled']);

@Injectable()
export class IndexingState {
  constructor(
    @InjectRepository(Document) private readonly documents: Repository<Document>,
    private readonly queue: QueueService,
  ) {}

  async read(): Promise<IndexingSnapshot> {
    // In this order: a job whose document is not counted here yet may show up in `jobs`, never the reverse.
    const settled = await this.documents.countBy({ settledAt: Not(IsNull()) });
    const documents = await this.documents.count();
    // Exact up to 10,000 a state, and never zero beyond: what is polled for here is certain.
    const counts = Object.entries(await this.queue.countJobs(IndexDocument.queue));
    const jobs = Object.fromEntries(counts.map(([state, { count }]) => [state, count])) as Record<
      JobState,
      number
    >;
    let openJobs = 0;
    for (const [state, { count }] of counts) if (!FINAL_STATES.has(state)) openJobs += count;
    return { documents, settled, jobs, openJobs };
  }
}
