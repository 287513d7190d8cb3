import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { ChaosRecord, RecordedOutcome } from './record.js';

/** What was recorded of a job's attempts. */
export type AttemptRecord = Extract<ChaosRecord, { readonly type: 'start' | 'effect' | 'outcome' }>;

export interface RecordedAttempt {
  readonly job: string;
  readonly lease: number;
  readonly attempt: number;
  readonly maxAttempts: number;
  /** How often it was started: once, or something is wrong. */
  starts: number;
  readonly outcomes: RecordedOutcome[];
  effects: number;
}

export interface RecordedJob {
  readonly id: string;
  kind: string;
  /** The transaction that enqueued it; undefined for one that nobody has offered. */
  tx: string | undefined;
  readonly attempts: Map<number, RecordedAttempt>;
  /** By process in order. */
  readonly events: AttemptRecord[];
}

/** What became of a transaction of a producer. `unsure`: its producer never heard. */
export type TransactionEnd = 'committed' | 'rolled back' | 'unsure';

interface OpenFile {
  readonly descriptor: number;
  offset: number;
  /** The beginning of a line whose end is not there yet. */
  rest: string;
}

/** All that the processes have recorded, read from their files as they grow. */
export class History {
  readonly jobs = new Map<string, RecordedJob>();
  readonly transactions = new Map<string, TransactionEnd>();
  /** When attempts have succeeded, in milliseconds since 1970, by file in order. */
  readonly successes: number[] = [];
  private readonly files = new Map<string, OpenFile>();

  constructor(private readonly directory: string) {}

  /** Reads what was added since the last time. */
  read(): void {
    for (const name of readdirSync(this.directory)) {
      if (!name.endsWith('.record')) continue;
      let file = this.files.get(name);
      if (file === undefined) {
        file = { descriptor: openSync(join(this.directory, name), 'r'), offset: 0, rest: '' };
        this.files.set(name, file);
      }
      for (const line of newLines(file)) this.add(JSON.parse(line) as ChaosRecord);
    }
  }

  close(): void {
    for (const { descriptor } of this.files.values()) closeSync(descriptor);
    this.files.clear();
  }

  /** Takes an event in; `read` does that with the lines of the files. */
  add(record: ChaosRecord): void {
    switch (record.type) {
      case 'offer':
        this.transactions.set(record.tx, 'unsure');
        for (const id of record.jobs) {
          const job = this.job(id);
          job.tx = record.tx;
          job.kind = record.kind;
        }
        break;
      case 'commit':
        this.transactions.set(record.tx, 'committed');
        break;
      case 'rollback':
        this.transactions.set(record.tx, 'rolled back');
        break;
      case 'start': {
        const { job: id, lease, attempt, maxAttempts, kind } = record;
        const job = this.job(id);
        job.kind = kind;
        job.events.push(record);
        const known = job.attempts.get(lease);
        if (known !== undefined) known.starts += 1;
        else
          job.attempts.set(lease, {
            job: id,
            lease,
            attempt,
            maxAttempts,
            starts: 1,
            outcomes: [],
            effects: 0,
          });
        break;
      }
      case 'effect': {
        const job = this.job(record.job);
        job.events.push(record);
        const attempt = job.attempts.get(record.lease);
        if (attempt !== undefined) attempt.effects += 1;
        break;
      }
      case 'outcome': {
        const job = this.job(record.job);
        job.events.push(record);
        job.attempts.get(record.lease)?.outcomes.push(record.outcome);
        if (record.outcome === 'completed') this.successes.push(record.at);
        break;
      }
    }
  }

  /** What the transaction of a job became; undefined: nobody has offered it. */
  endOf(job: RecordedJob): TransactionEnd | undefined {
    return job.tx === undefined ? undefined : this.transactions.get(job.tx);
  }

  private job(id: string): RecordedJob {
    let job = this.jobs.get(id);
    if (job === undefined) {
      job = { id, kind: '', tx: undefined, attempts: new Map(), events: [] };
      this.jobs.set(id, job);
    }
    return job;
  }
}

function newLines(file: OpenFile): string[] {
  const size = fstatSync(file.descriptor).size - file.offset;
  if (size <= 0) return [];
  const bytes = Buffer.alloc(size);
  const read = readSync(file.descriptor, bytes, 0, size, file.offset);
  file.offset += read;
  const lines = (file.rest + bytes.toString('utf8', 0, read)).split('\n');
  file.rest = lines.pop() ?? '';
  return lines;
}
