import { KINDS, type KindRules } from './chaos-jobs.js';
import type { DatabaseFacts, EndedJob } from './database-facts.js';
import type { History, RecordedAttempt, RecordedJob } from './history.js';

/** What a scenario makes of the rules. */
export interface CheckOptions {
  /** Completed jobs are still in the database; false where their retention ends during the run. */
  readonly isKept: boolean;
  /** Jobs that are not meant to fail have succeeded in their first attempt, whatever happened. */
  readonly burnsNoAttempt: boolean;
  /** By kind. */
  readonly kinds?: Readonly<Record<string, KindRules>>;
}

/** Of what is wrong with many jobs, so many are named. */
const EXAMPLES = 3;

/**
 * Compares what the processes have recorded with what the database says, when nothing waits or runs any more.
 *
 * @returns a sentence for each rule that is broken, with examples; none: nothing was lost, run by two winners or left behind.
 */
export function check(history: History, facts: DatabaseFacts, options: CheckOptions): string[] {
  const findings = new Findings();
  const ids = new Set([...history.jobs.keys(), ...facts.ended.keys()]);
  for (const id of ids) {
    const job = history.jobs.get(id) ?? { id, kind: '', tx: undefined, attempts: new Map(), events: [] };
    const records = facts.ended.get(id) ?? [];
    checkOrigin(findings, history, job, records);
    checkEnd(findings, history, job, records, options);
    checkAttempts(findings, job, records);
    checkEffects(findings, job, records, facts.effects.get(id) ?? [], options);
  }
  checkUnsure(findings, history, facts, options);
  for (const id of facts.effects.keys())
    if (!ids.has(id)) findings.add('has an effect and was never seen', id);
  return [
    ...findings.sentences(),
    ...Object.entries(facts.leftovers).flatMap(([what, count]) =>
      count === 0 ? [] : [`${count} ${what} left behind`],
    ),
  ];
}

/** Only what was committed runs. */
function checkOrigin(
  findings: Findings,
  history: History,
  job: RecordedJob,
  records: readonly EndedJob[],
): void {
  if (job.attempts.size === 0 && records.length === 0) return;
  const end = history.endOf(job);
  if (end === 'rolled back') findings.add('ran though its transaction was rolled back', job.id);
  if (end === undefined) findings.add('ran though nobody has enqueued it', job.id);
}

/** What was committed, or has begun, has ended: once, and by an attempt that says so. */
function checkEnd(
  findings: Findings,
  history: History,
  job: RecordedJob,
  records: readonly EndedJob[],
  { isKept, burnsNoAttempt, kinds = KINDS }: CheckOptions,
): void {
  const attempts = [...job.attempts.values()];
  const mustEnd = history.endOf(job) === 'committed' || attempts.length > 0;
  const isKnownToEnd = !isKept && attempts.some(({ outcomes }) => outcomes.includes('completed'));
  if (mustEnd && records.length === 0 && !isKnownToEnd) findings.add('was lost', job.id);
  if (records.length > 1) findings.add('has ended more than once', job.id);
  const [record] = records;
  if (record === undefined) return;
  // A body that is gone, in a run with a short retention: the lease is not known.
  if (record.lease === 0) return isKept ? findings.add('has lost its body', job.id) : undefined;

  const winner = job.attempts.get(record.lease);
  const maxAttempts = Math.max(...attempts.map((attempt) => attempt.maxAttempts), 0);
  if (attempts.some(({ lease }) => lease > record.lease))
    findings.add(`was started again after it was ${record.state}`, job.id);
  if (record.state === 'cancelled') findings.add('was cancelled, and nobody cancels', job.id);
  if (record.state === 'completed' && winner?.outcomes.includes('completed') !== true)
    findings.add('was completed by an attempt that does not say so', job.id);
  if (
    record.state === 'failed' &&
    record.attempt < maxAttempts &&
    winner?.outcomes.includes('failed') !== true
  )
    findings.add('failed with attempts left', job.id);
  if (maxAttempts > 0 && record.attempt > maxAttempts)
    findings.add('had more attempts than it may have', job.id);
  if (burnsNoAttempt && kinds[job.kind]?.isSmooth === true && record.attempt > 1)
    findings.add(`(${job.kind}) needed ${record.attempt} attempts`, job.id);
}

/** An attempt begins once and ends once. */
function checkAttempts(findings: Findings, job: RecordedJob, records: readonly EndedJob[]): void {
  for (const { lease, starts, outcomes, attempt, maxAttempts } of job.attempts.values()) {
    const name = `${job.id}/${lease}`;
    if (starts > 1) findings.add('is an attempt that was started twice', name);
    if (outcomes.length > 1) findings.add('is an attempt with two outcomes', name);
    if (attempt > maxAttempts) findings.add('is an attempt too many', name);
  }
  const winners = [...job.attempts.values()].filter(
    (attempt: RecordedAttempt) =>
      attempt.outcomes.includes('completed') && attempt.lease > (records[0]?.lease ?? Infinity),
  );
  if (winners.length > 0) findings.add('succeeded once more after its end', job.id);
}

function checkEffects(
  findings: Findings,
  job: RecordedJob,
  records: readonly EndedJob[],
  leases: readonly number[],
  { kinds = KINDS, isKept }: CheckOptions,
): void {
  const rule = kinds[job.kind]?.effects ?? 'none';
  const hasSucceeded = [...job.attempts.values()].some(({ outcomes }) => outcomes.includes('completed'));
  for (const lease of leases)
    if (!job.attempts.has(lease)) findings.add('has an effect of an attempt that was never started', job.id);
  const [record] = records;
  if (rule === 'none') return;
  // Of a job whose record is no longer kept, its handlers' word is all there is.
  const isCompleted = record === undefined ? !isKept && hasSucceeded : record.state === 'completed';
  if (isCompleted && leases.length === 0) findings.add('was completed without its effect', job.id);
  if (record !== undefined && record.lease > 0 && isCompleted && !leases.includes(record.lease))
    findings.add('was completed without the effect of its winner', job.id);
  if (rule === 'exactly-once' && leases.length > (isCompleted ? 1 : 0))
    findings.add(`has ${leases.length} effects`, job.id);
}

/** A transaction whose producer never heard has happened, or has not: all of it. */
function checkUnsure(
  findings: Findings,
  history: History,
  { ended }: DatabaseFacts,
  { isKept }: CheckOptions,
): void {
  if (!isKept) return;
  const unsure = new Map<string, { all: number; there: number }>();
  for (const job of history.jobs.values()) {
    if (job.tx === undefined || history.endOf(job) !== 'unsure') continue;
    const counts = unsure.get(job.tx) ?? { all: 0, there: 0 };
    counts.all += 1;
    if (ended.has(job.id)) counts.there += 1;
    unsure.set(job.tx, counts);
  }
  for (const [tx, { all, there }] of unsure)
    if (there !== 0 && there !== all)
      findings.add(`is a transaction of which ${there} of ${all} jobs exist`, tx);
}

/** What is wrong, by what it is. */
class Findings {
  private readonly subjects = new Map<string, string[]>();

  add(what: string, subject: string): void {
    const subjects = this.subjects.get(what) ?? [];
    subjects.push(subject);
    this.subjects.set(what, subjects);
  }

  sentences(): string[] {
    return [...this.subjects].map(([what, subjects]) => {
      const more = subjects.length > EXAMPLES ? ` (and ${subjects.length - EXAMPLES} more)` : '';
      return `${subjects.slice(0, EXAMPLES).join(', ')}${more} ${what}`;
    });
  }
}
