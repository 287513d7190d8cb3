import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { QueueService } from 'nestjs-awa';
import { DataSource, IsNull, MoreThan, Not } from 'typeorm';
import { Document } from './document.entity.js';
import { IndexingState } from './indexing-state.js';

interface Totals {
  readonly words: string;
  readonly headings: string;
  readonly links: string;
  readonly retries: string;
  readonly pickup_p50: number | null;
  readonly pickup_p99: number | null;
  readonly settled_twice: string;
  readonly this_run: string;
  readonly this_run_ms: number | null;
}

/** What was done, read back from the database. */
@Injectable()
export class Summary {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly state: IndexingState,
    private readonly queue: QueueService,
  ) {}

  /** Prints the summary; resolves to false when a document or a job is not accounted for. */
  async print(runStartedAt: Date): Promise<boolean> {
    const { documents, settled, jobs } = await this.state.read();
    const totals = await this.totals(runStartedAt);
    const states = Object.entries(jobs).filter(([, count]) => count > 0);
    const outcomes = jobs.completed + jobs.failed + jobs.cancelled;

    printTable([
      ['documents', String(documents)],
      ...states.map(([state, count]): Row => [`jobs ${state}`, String(count)]),
      ['this run', rate(Number(totals.this_run), totals.this_run_ms)],
      ['retries', totals.retries],
      ['pickup latency', `p50 ${milliseconds(totals.pickup_p50)}, p99 ${milliseconds(totals.pickup_p99)}`],
      ['words', totals.words],
      ['headings', totals.headings],
      ['links', totals.links],
      ['lost', String(documents - settled)],
      ['ended twice', String(Math.max(0, outcomes - documents))],
      ['delivered again', totals.settled_twice],
    ]);
    await this.printHistories();
    return settled === documents && outcomes <= documents;
  }

  private async totals(runStartedAt: Date): Promise<Totals> {
    const [totals] = await this.dataSource.query<Totals[]>(
      `SELECT coalesce(sum(words), 0)                               AS words,
              coalesce(sum(jsonb_array_length(headings)), 0)        AS headings,
              coalesce(sum(jsonb_array_length(links)), 0)           AS links,
              coalesce(sum(attempt - 1), 0)                         AS retries,
              percentile_cont(0.5) WITHIN GROUP (ORDER BY pickup_ms)  AS pickup_p50,
              percentile_cont(0.99) WITHIN GROUP (ORDER BY pickup_ms) AS pickup_p99,
              count(*) FILTER (WHERE times_settled > 1)             AS settled_twice,
              count(*) FILTER (WHERE settled_at >= $1)              AS this_run,
              1000 * extract(epoch FROM max(settled_at) - $1)::float8 AS this_run_ms
         FROM quickstart.documents`,
      [runStartedAt],
    );
    if (!totals) throw new Error('An aggregate without GROUP BY returns one row.');
    return totals;
  }

  /** The documents that failed and, as an example, one that was tried again. */
  private async printHistories(): Promise<void> {
    const { manager } = this.dataSource;
    const failed = await manager.findBy(Document, { failure: Not(IsNull()) });
    const retried = await manager.find(Document, { where: { attempt: MoreThan(1) }, take: 1 });
    for (const { jobId } of [...failed, ...retried]) await this.printHistory(jobId);
  }

  /** The queue keeps what each failed attempt of a job said. */
  private async printHistory(jobId: string): Promise<void> {
    const job = await this.queue.getJob(jobId);
    if (job === null) return; // Longer ago than the history reaches.
    console.log(`job ${job.id} ${job.state} at attempt ${job.attempt} of ${job.maxAttempts}`);
    for (const { attempt, error } of job.errors) {
      console.log(`  attempt ${attempt}: ${error.split('\n', 1)[0]}`);
    }
  }
}

type Row = readonly [label: string, value: string];

function printTable(rows: readonly Row[]): void {
  const width = Math.max(...rows.map(([label]) => label.length));
  console.log(`\n${rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join('\n')}\n`);
}

function rate(jobs: number, elapsedMs: number | null): string {
  if (jobs === 0 || elapsedMs === null) return 'nothing was left to do';
  const perSecond = (jobs * 1_000) / elapsedMs;
  return `${jobs} jobs in ${(elapsedMs / 1_000).toFixed(1)} s, ${perSecond.toFixed(0)} jobs/s`;
}

function milliseconds(value: number | null): string {
  return value === null ? '-' : `${value.toFixed(0)} ms`;
}
