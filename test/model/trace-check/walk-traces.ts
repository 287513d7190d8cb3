import type { QuintModel, State } from '../quint-model.js';
import type { AttemptEvent, JobTrace } from './job-path.js';
import { BEGAN, RECORDED } from './job-rules.js';

interface Recorded {
  readonly inst: number;
  readonly job: number;
  readonly lease: number;
  /** 0 where the model does not know it any more: its process would. */
  readonly attempt: number;
  readonly result: string;
}

interface End {
  readonly job: number;
  readonly state: string;
  readonly lease: number;
  readonly attempt: number;
}

/** Ends every job, without faults. */
export function settled(model: QuintModel, states: readonly State[]): State[] {
  const all = [...states];
  while (!model.holds('settled', all.at(-1)!)) {
    const [next] = model.successors(all.at(-1)!, 'settle');
    if (next === undefined || all.length > 10_000) throw new Error('the walk does not settle');
    all.push(next);
  }
  return all;
}

/** What the processes of a walk would have recorded, and how its jobs ended. */
export function tracesOf(model: QuintModel, states: readonly State[], maxAttempts: number): JobTrace[] {
  const events = new Map<number, AttemptEvent[]>();
  const begun = new Set<string>();
  for (const state of states) {
    const { tag, value } = model.step(state);
    if (tag !== 'Began' && tag !== 'Returned') continue;
    const { inst, job, lease, attempt, result } = value as unknown as Recorded;
    const name = `${inst}:${job}/${lease}`;
    const of = events.get(job) ?? [];
    events.set(job, of);
    if (tag === 'Began') {
      begun.add(name);
      of.push({ lease, event: BEGAN, ...(attempt === 0 ? {} : { attempt }) });
    } else if (begun.has(name) && RECORDED.has(result)) of.push({ lease, event: result });
  }
  const ended = model.read(states.at(-1)!)['ended'] as unknown as readonly End[];
  return ended.map(({ job, state, lease, attempt }) => ({
    events: events.get(job) ?? [],
    end: { places: state === 'failed' || state === 'dead' ? ['failed', 'dead'] : [state], lease, attempt },
    maxAttempts,
  }));
}
