import { readdir } from 'node:fs/promises';
import type { Client, QueryResult, QueryResultRow } from 'pg';
import type { Bounds } from './quint-model.js';
import type { Weights } from './walks.js';

/** Random walks on an instance that is too large for the explorer. */
export interface WalkPlan {
  readonly bounds: Bounds;
  readonly walks: number;
  readonly steps: number;
  readonly weights?: Weights;
}

/** A variant of the model with a defect, that has to be found. */
export interface BrokenTwin {
  /** The value of `DEFECT`. */
  readonly defect: string;
  /** The invariant that finds it, or `settled`. */
  readonly refuted: string;
  /** Where it shows best; the (first) short bounds otherwise. */
  readonly bounds?: Bounds;
}

export type Instances = Bounds | readonly Bounds[];

/** Their list. */
export const instancesOf = (instances: Instances): readonly Bounds[] =>
  isList(instances) ? instances : [instances];

const isList = (instances: Instances): instances is readonly Bounds[] => Array.isArray(instances);

/** One specification, and what is checked of it. Bounds are all constants but `DEFECT`. */
export interface ModelRow {
  /** Of the file `specs/NAME.qnt` and the module in it. */
  readonly name: string;
  readonly about: string;
  /** What the explorer goes through: one instance, or several of which each is large in another respect. */
  readonly explore: { readonly short: Instances; readonly long: Instances };
  readonly walks?: { readonly short: WalkPlan; readonly long: WalkPlan };
  readonly invariants: readonly string[];
  /** Values that have to be true somewhere, in one of the instances. */
  readonly witnesses: readonly string[];
  /** `settled` holds after at most so many steps of `settle`, from every state. */
  readonly settleSteps?: number;
  readonly twins: readonly BrokenTwin[];
  /** Replays walks against the real engine. Loaded only when it is used: it needs a database. */
  readonly conformance?: () => Promise<Conformance>;
}

/** What was replayed against the real engine; a difference throws. */
export interface ReplayReport {
  readonly walks: number;
  readonly steps: number;
  /** How often each kind of step was replayed. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Which of the model's witnesses were reached. */
  readonly reached?: readonly string[];
}

/** A database with our schema, for replays alone. */
export interface ReplayDatabase {
  /** A session of a role that was granted `runtime`. */
  client(): Promise<Client>;
  /** A session of the owner's. */
  ownerClient(): Promise<Client>;
  /** One statement of the owner's. */
  query<Row extends QueryResultRow = QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
}

export type Conformance = (database: ReplayDatabase, short: boolean) => Promise<ReplayReport>;

/** Where the specification lies. Programs run from the project's directory. */
export const specFile = (name: string): string => `test/model/specs/${name}.qnt`;

/** All rows: each is the export `model` of a file `specs/NAME.model.ts`. */
export async function loadModels(): Promise<ModelRow[]> {
  const directory = new URL('./specs/', import.meta.url);
  const files = (await readdir(directory)).filter((file) => /\.model\.(js|ts)$/.test(file)).sort();
  const modules = await Promise.all(
    files.map(async (file) => (await import(new URL(file, directory).href)) as { model: ModelRow }),
  );
  return modules.map(({ model }) => model);
}
