import type { DatabaseFacts } from '../../chaos/database-facts.js';
import type { History, RecordedJob } from '../../chaos/history.js';
import { type AttemptEvent, firstBreak, type JobEnd, type JobTrace } from './job-path.js';
import { BEGAN, type JobRules } from './job-rules.js';

/** Of what is wrong with many jobs, so many are named. */
const EXAMPLES = 3;

export interface TracesChecked {
  /** Jobs of which something was recorded. */
  readonly traces: number;
  readonly events: number;
  /** A sentence for each job that did what it cannot have done, for a few of them. */
  readonly problems: readonly string[];
}

/** Compares the history of each job with the attempts model: its events have to be a path of the model, and its end the path's. */
export function checkTraces(rules: JobRules, history: History, facts: DatabaseFacts): TracesChecked {
  // Most jobs have the same short life.
  const known = new Map<string, number | undefined>();
  const broken: string[] = [];
  let traces = 0;
  let events = 0;
  for (const job of history.jobs.values()) {
    if (job.events.length === 0) continue;
    const trace = traceOf(job, facts);
    traces += 1;
    events += trace.events.length;
    const key = JSON.stringify(trace);
    const at = known.has(key) ? known.get(key) : firstBreak(rules, trace);
    known.set(key, at);
    if (at !== undefined) broken.push(describe(job.id, trace, at));
  }
  const more = broken.length - EXAMPLES;
  return {
    traces,
    events,
    problems: [
      ...broken.slice(0, EXAMPLES),
      ...(more > 0 ? [`${more} more jobs did what the model of attempts does not do`] : []),
    ],
  };
}

/**
 * Effects are none of the model's. What a handler says of its end is not always what is stored: its process may die before, and a
 * transaction that was to commit with the end may break. For the job that is as if its process had been lost.
 */
function traceOf(job: RecordedJob, facts: DatabaseFacts): JobTrace {
  const events = [...job.events]
    .sort((a, b) => a.at - b.at)
    .flatMap((record): AttemptEvent[] => {
      const { lease } = record;
      if (record.type === 'effect') return [];
      if (record.type === 'outcome') return [{ lease, event: record.outcome }];
      return [{ lease, event: BEGAN, attempt: record.attempt }];
    });
  const [record] = facts.ended.get(job.id) ?? [];
  const maxAttempts = Math.max(0, ...[...job.attempts.values()].map((attempt) => attempt.maxAttempts));
  return { events, end: record && endOf(record), maxAttempts };
}

function endOf({ state, lease, attempt }: { state: string; lease: number; attempt: number }): JobEnd {
  const places = state === 'failed' ? ['failed', 'dead'] : [state];
  // A body that is gone says nothing of the numbers.
  return lease === 0 ? { places, lease: undefined, attempt: undefined } : { places, lease, attempt };
}

function describe(id: string, { events, end }: JobTrace, at: number): string {
  const names = events.map(({ lease, event }) => `${event}/${lease}`);
  const what =
    at < events.length
      ? `${names[at]} cannot follow ${names.slice(0, at).join(', ') || 'the enqueue'}`
      : `it cannot have ended as ${end?.places[0]}/${end?.lease ?? '?'} (${end?.attempt ?? '?'} attempts) after ${names.join(', ')}`;
  return `job ${id} is no path of the model of attempts: ${what}`;
}
