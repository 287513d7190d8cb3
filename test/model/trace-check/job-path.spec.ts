import { beforeAll, describe, expect, it } from 'vitest';
import { specFile } from '../models.js';
import { QuintModel } from '../quint-model.js';
import { LARGE } from '../specs/attempts.bounds.js';
import { walk } from '../walks.js';
import { type AttemptEvent, firstBreak, type JobEnd, type JobTrace } from './job-path.js';
import { BEGAN, type JobRules, readJobRules } from './job-rules.js';
import { settled, tracesOf } from './walk-traces.js';

let rules: JobRules;
/** Of several jobs and processes, where the rules are of one each. */
let traces: readonly JobTrace[];

beforeAll(async () => {
  rules = await readJobRules();
  const model = await QuintModel.load(specFile('attempts'), 'attempts', { DEFECT: 'none', ...LARGE });
  traces = Array.from({ length: 20 }, (_, at) =>
    tracesOf(model, settled(model, walk(model, at + 1, 120)), Number(LARGE['MAX_ATTEMPTS'])),
  ).flat();
});

const began = (lease: number, attempt = lease): AttemptEvent => ({ lease, event: BEGAN, attempt });
const gave = (lease: number, event: string): AttemptEvent => ({ lease, event });
const completed = (lease: number, attempt = lease): JobEnd => ({ places: ['completed'], lease, attempt });
const failed = (lease: number, attempt = lease): JobEnd => ({ places: ['failed', 'dead'], lease, attempt });
const breakOf = (events: readonly AttemptEvent[], end?: JobEnd, maxAttempts = 3): number | undefined =>
  firstBreak(rules, { events, end, maxAttempts });

describe('a job', () => {
  it.each<[string, readonly AttemptEvent[], JobEnd]>([
    ['that succeeds', [began(1), gave(1, 'completed')], completed(1)],
    ['that is retried', [began(1), gave(1, 'error'), began(2), gave(2, 'completed')], completed(2)],
    ['that snoozes', [began(1), gave(1, 'snoozed'), began(2, 1), gave(2, 'completed')], completed(2, 1)],
    ['whose process died', [began(1), began(2), gave(2, 'completed')], completed(2)],
    ['whose first claim nobody heard of', [began(2, 1), gave(2, 'completed')], completed(2, 1)],
    ['whose result was lost', [began(1), gave(1, 'completed'), began(2), gave(2, 'completed')], completed(2)],
    [
      'that succeeds again, too late',
      [began(1), began(2), gave(2, 'completed'), gave(1, 'completed')],
      completed(2),
    ],
    ['that begins too late', [began(2), gave(2, 'completed'), began(1), gave(1, 'error')], completed(2)],
    ['that fails for good', [began(1), gave(1, 'failed')], failed(1)],
    ['that kills its process', [began(1), began(2), began(3)], failed(3)],
  ])('%s is a path of the model', (_, events, end) => {
    expect(breakOf(events, end)).toBeUndefined();
  });

  it.each<[string, number, readonly AttemptEvent[], JobEnd | undefined]>([
    ['a result without a beginning', 0, [gave(1, 'completed')], undefined],
    ['an attempt that begins twice', 1, [began(1), began(1)], undefined],
    ['two results of one attempt', 2, [began(1), gave(1, 'completed'), gave(1, 'error')], undefined],
    ['an attempt that is counted twice', 1, [began(1), began(2, 3)], undefined],
    ['a first attempt that is not the first', 0, [began(1, 2)], undefined],
    [
      'a lost attempt and a failed one that count for nothing',
      2,
      [began(1), gave(1, 'failed')],
      failed(1, 0),
    ],
    ['an error after which the job is over', 2, [began(1), gave(1, 'error')], failed(1)],
    ['an end without the winner', 1, [began(1)], completed(1)],
    ['an end by somebody else', 2, [began(1), gave(1, 'completed')], completed(2)],
    ['a job that runs after its end', 3, [began(1), gave(1, 'completed'), began(2)], completed(1)],
    ['an attempt too many', 3, [began(1), began(2), began(3), began(4)], undefined],
  ])('%s is none', (_, at, events, end) => {
    expect(breakOf(events, end)).toBe(at);
  });
});

describe('the jobs of random walks', () => {
  it('are paths', () => {
    expect(traces.filter((trace) => firstBreak(rules, trace) !== undefined)).toEqual([]);
    expect(traces.length).toBeGreaterThan(40);
  });

  /** What is made of a trace; undefined where it cannot be done. */
  type Corruption = (trace: JobTrace) => JobTrace | undefined;
  const withEvents = (trace: JobTrace, events: readonly AttemptEvent[]): JobTrace => ({ ...trace, events });
  const resultAt = ({ events }: JobTrace): number => events.findIndex(({ event }) => event !== BEGAN);
  const beginningAt = (trace: JobTrace): number =>
    trace.events.findIndex(
      ({ lease, event }) => event === BEGAN && lease === trace.events[resultAt(trace)]?.lease,
    );
  const isCompleted = ({ end }: JobTrace): boolean => end?.places[0] === 'completed';
  const winnerAt = ({ events, end }: JobTrace): number =>
    events.findIndex(({ lease, event }) => event === 'completed' && lease === end?.lease);

  it.each<[string, Corruption]>([
    [
      'whose start was dropped',
      (trace) =>
        resultAt(trace) < 0 ? undefined : withEvents(trace, trace.events.toSpliced(beginningAt(trace), 1)),
    ],
    [
      'that began twice',
      (trace) =>
        trace.events.length === 0 ? undefined : withEvents(trace, [trace.events[0]!, ...trace.events]),
    ],
    [
      'with a result twice',
      (trace) =>
        resultAt(trace) < 0
          ? undefined
          : withEvents(trace, [...trace.events, trace.events[resultAt(trace)]!]),
    ],
    [
      'with a result before its start',
      (trace) => {
        const [first, second] = [beginningAt(trace), resultAt(trace)];
        if (second < 0) return undefined;
        return withEvents(
          trace,
          trace.events.with(first, trace.events[second]!).with(second, trace.events[first]!),
        );
      },
    ],
    [
      'whose winner was dropped',
      (trace) =>
        isCompleted(trace) ? withEvents(trace, trace.events.toSpliced(winnerAt(trace), 1)) : undefined,
    ],
    [
      'that was completed by the next attempt',
      (trace) =>
        isCompleted(trace) ? { ...trace, end: { ...trace.end!, lease: trace.end!.lease! + 1 } } : undefined,
    ],
    [
      'that began again after its end',
      (trace) =>
        isCompleted(trace)
          ? withEvents(trace, [...trace.events, { lease: trace.end!.lease! + 1, event: BEGAN }])
          : undefined,
    ],
    [
      'with more attempts than claims',
      (trace) =>
        trace.end === undefined
          ? undefined
          : { ...trace, end: { ...trace.end, attempt: trace.end.lease! + 1 } },
    ],
    [
      'that is said to have failed with attempts left',
      (trace) =>
        isCompleted(trace) && trace.end!.attempt! < trace.maxAttempts
          ? { ...trace, end: { ...trace.end!, places: ['failed', 'dead'] } }
          : undefined,
    ],
  ])('are none: a job %s', (_, corrupt) => {
    const corrupted = traces.flatMap((trace) => corrupt(trace) ?? []);
    expect(corrupted.length).toBeGreaterThan(5);
    expect(corrupted.filter((trace) => firstBreak(rules, trace) === undefined)).toEqual([]);
  });
});
