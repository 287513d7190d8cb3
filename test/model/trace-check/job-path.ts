import { type JobRules, lateKey, ruleKey, type Stand } from './job-rules.js';

/** Something that was recorded of an attempt. */
export interface AttemptEvent {
  readonly lease: number;
  /** `began`, or what its handler gave back. */
  readonly event: string;
  /** Of a beginning: which attempt it said it was. */
  readonly attempt?: number;
}

/** How a job ended, by the database. */
export interface JobEnd {
  /** By the model: `failed` is `dead` where dead letters are enabled. */
  readonly places: readonly string[];
  /** Undefined: not known any more. */
  readonly lease: number | undefined;
  readonly attempt: number | undefined;
}

export interface JobTrace {
  /** In the order in which they were recorded. */
  readonly events: readonly AttemptEvent[];
  /** Undefined: it is not kept. */
  readonly end: JobEnd | undefined;
  readonly maxAttempts: number;
}

/** One way in which the job may stand now, given all that was recorded. */
interface Place {
  readonly place: string;
  readonly stage: string;
  readonly lease: number;
  readonly attempt: number;
  /** What processes still know of attempts that are over, and have yet to record. */
  readonly late: ReadonlyMap<number, Late>;
}

interface Late {
  readonly stage: string;
  /** As the claim counted it. */
  readonly attempt: number;
}

/**
 * Follows a job through the rules. What is not recorded (claims, closures, deaths, promotions) may have happened at any time, so the job
 * may stand in several places at once; each event leaves those in which it can happen.
 *
 * @returns the number of an event up to which not all can have happened, as early as it shows; the number of events: all can, but then
 *   it cannot have ended as it did; undefined: it is a path of the model
 */
export function firstBreak(rules: JobRules, { events, end, maxAttempts }: JobTrace): number | undefined {
  const leases = Math.max(...events.map(({ lease }) => lease), end?.lease ?? 0, 1);
  const widen = (places: readonly Place[], at: number): Place[] =>
    spread(rules, places, { leases, maxAttempts, toCome: nextOf(events.slice(at)) });
  let places = widen([{ place: 'waiting', stage: '', lease: 0, attempt: 0, late: new Map() }], 0);
  for (const [at, event] of events.entries()) {
    const followed = places.flatMap((place) => follow(rules, place, event, maxAttempts));
    if (followed.length === 0) return at;
    places = widen(followed, at + 1);
    if (places.length === 0) return at + 1;
  }
  const isEnd = ({ place, lease, attempt }: Place): boolean =>
    end === undefined ||
    (end.places.includes(place) &&
      (end.lease === undefined || end.lease === lease) &&
      (end.attempt === undefined || end.attempt === attempt));
  return places.some(isEnd) ? undefined : events.length;
}

const standOf = ({ place, stage, attempt }: Place, maxAttempts: number): Stand => ({
  place,
  stage,
  isLast: place === 'open' && attempt + 1 === maxAttempts,
});

function follow(rules: JobRules, from: Place, event: AttemptEvent, maxAttempts: number): Place[] {
  if (from.place === 'open' && from.lease === event.lease) {
    if (!isAttempt(event, from.attempt)) return [];
    const possible = rules.steps.get(ruleKey(standOf(from, maxAttempts), event.event)) ?? [];
    return possible.map(({ place, stage }) => ({ ...from, place, stage }));
  }
  const known = from.late.get(event.lease);
  const stage = known && stageAfter(rules, known, event);
  return known === undefined || stage === undefined
    ? []
    : [{ ...from, late: new Map(from.late).set(event.lease, { ...known, stage }) }];
}

/** Where the claim had counted so many attempts before. */
const isAttempt = ({ attempt }: AttemptEvent, before: number): boolean =>
  attempt === undefined || attempt === before + 1;

const stageAfter = (rules: JobRules, { stage, attempt }: Late, event: AttemptEvent): string | undefined =>
  isAttempt(event, attempt) ? rules.late.get(lateKey(stage, event.event)) : undefined;

interface Limits {
  /** More claims than these have left no trace. */
  readonly leases: number;
  readonly maxAttempts: number;
  /** By claim, what is next recorded of it. */
  readonly toCome: ReadonlyMap<number, AttemptEvent>;
}

const nextOf = (events: readonly AttemptEvent[]): Map<number, AttemptEvent> =>
  new Map(events.toReversed().map((event) => [event.lease, event]));

/** All places to which what is not recorded can lead, but for those from which what is to come cannot happen any more. */
function spread(rules: JobRules, places: readonly Place[], { leases, maxAttempts, toCome }: Limits): Place[] {
  const found = new Map<string, Place>();
  const queue = [...places];
  for (let from = queue.pop(); from !== undefined; from = queue.pop()) {
    const late = [...from.late].filter(([lease]) => toCome.has(lease));
    if (late.some(([lease, known]) => stageAfter(rules, known, toCome.get(lease)!) === undefined)) continue;
    const key = JSON.stringify([from.place, from.stage, from.lease, from.attempt, late]);
    if (found.has(key)) continue;
    found.set(key, { ...from, late: new Map(late) });
    for (const rule of rules.steps.get(ruleKey(standOf(from, maxAttempts), '')) ?? []) {
      const lease = from.lease + rule.leases;
      if (lease > leases) continue;
      const isOver = from.place === 'open' && rule.place !== 'open';
      queue.push({
        place: rule.place,
        stage: rule.stage,
        lease,
        attempt: from.attempt + rule.attempts,
        late: isOver
          ? new Map(late).set(from.lease, { stage: from.stage, attempt: from.attempt })
          : new Map(late),
      });
    }
  }
  return [...found.values()];
}
