import { specFile } from '../models.js';
import type { Plain } from '../quint/plain.js';
import { QuintModel, type State, type Step } from '../quint-model.js';
import { PROJECTED } from '../specs/attempts.bounds.js';

/** How a job stands. Numbers are not in it, so that rules hold whatever they are. */
export interface Stand {
  /** `waiting`, `deferred`, `open`, or the state it has ended in. */
  readonly place: string;
  /** Of an open attempt, what its process knows: `unknown`, `claimed`, `began`, or the result of its handler; or has sent before it died. */
  readonly stage: string;
  /** Whether the open attempt is the last the job may have. */
  readonly isLast: boolean;
}

/** A step that a job can take. */
export interface JobRule {
  readonly place: string;
  readonly stage: string;
  /** What is added to the numbers that the job had. */
  readonly leases: number;
  readonly attempts: number;
}

/** Which steps can follow which, as the attempts model has them. */
export interface JobRules {
  /** By stand and event: an event that is recorded, or `''`. */
  readonly steps: ReadonlyMap<string, readonly JobRule[]>;
  /** What can be recorded of an attempt that is over, by its stage and the event: its next stage. */
  readonly late: ReadonlyMap<string, string>;
}

/** The event that a handler begins. */
export const BEGAN = 'began';

/** Results that are recorded. What a process does to an attempt without its handler is not. */
export const RECORDED: ReadonlySet<string> = new Set(['completed', 'error', 'snoozed', 'failed']);

export const ruleKey = ({ place, stage, isLast }: Stand, event: string): string =>
  `${place} ${stage}${isLast ? ' last' : ''}: ${event}`;
export const lateKey = (stage: string, event: string): string => `${stage}: ${event}`;

interface Row {
  readonly attempt: number;
  readonly lease: number;
}
interface Attempt extends Row {
  readonly owner: number;
}
interface End extends Row {
  readonly state: string;
}
interface Held {
  readonly inst: number;
  readonly lease: number;
  readonly stage: string;
}

interface Tx {
  readonly kind: string;
  readonly by: number;
  readonly outcome: string;
}

/** Those of the model that are read here. */
interface Variables {
  readonly waiting: readonly Row[];
  readonly deferred: readonly Row[];
  readonly open: readonly Attempt[];
  readonly ended: readonly End[];
  readonly held: readonly Held[];
  readonly txs: readonly Tx[];
}

/** The one job of a state. */
interface View extends Stand, Row {
  readonly held: readonly Held[];
}

/** Goes through all states of models of one job, and keeps of each step what it does to the job. */
export async function readJobRules(): Promise<JobRules> {
  const steps = new Map<string, Map<string, JobRule>>();
  const late = new Map<string, string>();
  for (const bounds of PROJECTED) {
    const model = await QuintModel.load(specFile('attempts'), 'attempts', { DEFECT: 'none', ...bounds });
    project(model, Number(bounds['MAX_ATTEMPTS']), (event, from, to, stage) => {
      if (stage !== undefined) {
        late.set(lateKey(stage, event), event);
        return;
      }
      const rule: JobRule = {
        place: to.place,
        stage: to.stage,
        leases: to.lease - from.lease,
        attempts: to.attempt - from.attempt,
      };
      const key = ruleKey(from, event);
      const rules = steps.get(key) ?? new Map<string, JobRule>();
      steps.set(key, rules.set(JSON.stringify(rule), rule));
    });
  }
  return { steps: new Map([...steps].map(([key, rules]) => [key, [...rules.values()]])), late };
}

/** @param found told of each step that is recorded or changes the job; with a stage, the step is of an attempt that is over */
function project(
  model: QuintModel,
  maxAttempts: number,
  found: (event: string, from: View, to: View, stage?: string) => void,
): void {
  const views = new Map<string, View>();
  const queue: State[] = [];
  const view = (state: State): View => {
    let known = views.get(state.key);
    if (known === undefined) {
      known = viewOf(model.read(state), maxAttempts);
      views.set(state.key, known);
      queue.push(state);
    }
    return known;
  };
  model.initial().forEach(view);
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    const from = view(state);
    for (const successor of model.successors(state)) {
      const to = view(successor);
      const { event, lease } = eventOf(model.step(successor), from);
      if (event !== '' && (from.place !== 'open' || lease !== from.lease))
        found(event, from, to, from.held.find((held) => held.lease === lease)?.stage);
      else if (event !== '' || isMove(from, to)) found(event, from, to);
    }
  }
}

const isMove = (from: View, to: View): boolean =>
  from.place !== to.place ||
  from.stage !== to.stage ||
  from.lease !== to.lease ||
  from.attempt !== to.attempt;

/** What a process would have recorded of the step: nothing of an attempt that it ends before its handler begins. */
function eventOf({ tag, value }: Step, { held }: View): { readonly event: string; readonly lease: number } {
  const { lease = 0, result = '' } = value as { readonly lease?: number; readonly result?: string };
  if (tag === 'Began') return { event: BEGAN, lease };
  const hasBegun = held.some((known) => known.lease === lease && known.stage === BEGAN);
  return { event: tag === 'Returned' && hasBegun && RECORDED.has(result) ? result : '', lease };
}

function viewOf(state: Readonly<Record<string, Plain>>, maxAttempts: number): View {
  const { held, ended, open: attempts, txs, waiting, deferred: later } = state as unknown as Variables;
  const none = { stage: '', isLast: false, held };
  const [end] = ended;
  if (end !== undefined) return { ...none, place: end.state, lease: end.lease, attempt: end.attempt };
  const [open] = attempts;
  if (open !== undefined) {
    const known = held.find(({ inst, lease }) => inst === open.owner && lease === open.lease);
    const sent = txs.find(({ kind, by }) => kind === 'close' && by === open.owner);
    return {
      place: 'open',
      // The process may be gone, and the statement it had sent is still carried out.
      stage: known?.stage ?? sent?.outcome ?? 'unknown',
      isLast: open.attempt + 1 === maxAttempts,
      lease: open.lease,
      attempt: open.attempt,
      held,
    };
  }
  const [deferred] = later;
  const [row = deferred] = waiting;
  if (row === undefined) throw new Error('a job is nowhere');
  return {
    ...none,
    place: deferred === undefined ? 'waiting' : 'deferred',
    lease: row.lease,
    attempt: row.attempt,
  };
}
