import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { cancelJobs } from '../../../lib/storage/operations/cancel-jobs.js';
import { claimJobs, type ClaimedJob } from '../../../lib/storage/operations/claim-jobs.js';
import {
  type AttemptOutcome,
  completeAttempts,
  completeFreeAttempts,
  settleAttempts,
  settleFreeAttempts,
} from '../../../lib/storage/operations/close-attempts.js';
import { enqueueJobs } from '../../../lib/storage/operations/enqueue-jobs.js';
import {
  heartbeat,
  registerInstance,
  releaseUnknownClaims,
  rescueAttempts,
} from '../../../lib/storage/operations/instances.js';
import { registerQueues } from '../../../lib/storage/operations/queues.js';
import { saveAttemptStates } from '../../../lib/storage/operations/save-attempt-states.js';
import { settleOverdue } from '../../../lib/storage/operations/settle-overdue.js';
import { schemaName } from '../../../lib/storage/schema-name.js';
import type { ReplayDatabase } from '../models.js';
import type { Plain } from '../quint/plain.js';
import type { Step } from '../quint-model.js';
import { readRows } from './attempts-rows.js';
import { type AttemptName, type AttemptsStep, asAttemptsStep, type ModelTx } from './attempts-steps.js';
import { promoteOne } from './promote-one.js';
import type { Engine } from './replay.js';

const SCHEMA = schemaName();
/** Contact that has been unbroken for so long that nothing is forgiven, in milliseconds. */
const HOURS = 36_000_000;
const KIND = 'replayed';
const TIMEOUT_MS = 3_600_000;

/** Sessions of one database, for one walk after the other. */
export interface Connections {
  readonly owner: Client;
  /** For what is no transaction of the model's. */
  readonly client: Client;
  /** Those of transactions, while there is none on them. */
  readonly idle: Client[];
  readonly more: () => Promise<Client>;
}

export async function openConnections(database: ReplayDatabase): Promise<Connections> {
  // A statement that has to wait would wait for ever: the model says that none does.
  const impatient = async (opened: Promise<Client>): Promise<Client> => {
    const client = await opened;
    // Compiling the statement that reads everything takes a hundred times as long as running it.
    await client.query("SET lock_timeout = '2s'; SET jit = off");
    return client;
  };
  return {
    owner: await impatient(database.ownerClient()),
    client: await impatient(database.client()),
    idle: [],
    more: () => impatient(database.client()),
  };
}

interface Bounds {
  readonly jobs: number;
  readonly instances: number;
  readonly maxAttempts: number;
}

/** What a process knows of an attempt. */
interface Held {
  readonly job: ClaimedJob;
  result: string;
  hasTried: boolean;
}

/** An open transaction, on a connection of its own. */
interface OpenTx {
  readonly client: Client;
  /** What a claim answered. */
  readonly claimed: readonly ClaimedJob[];
}

const nameOf = (inst: number, { job, lease }: AttemptName): string => `${inst}:${job}/${lease}`;

/**
 * The attempts model's steps, done by the runtime's own operations. Each open transaction of the model is one, with its locks; each job
 * has a queue of its own, so that a claim takes the job that the model chose. The owner moves times instead of waiting for them.
 */
export class AttemptsEngine implements Engine {
  readonly jobs = new Map<string, number>();
  private readonly jobIds = new Map<number, string>();
  readonly instances = new Map<string, number>();
  private readonly instanceIds = new Map<number, string>();
  private readonly alive = new Set<number>();
  private readonly fresh = new Set<number>();
  private readonly held = new Map<string, Held>();
  private readonly txs = new Map<string, OpenTx>();
  private readonly walk = randomUUID();
  private readonly leader = randomUUID();
  private revision = 0;

  private constructor(
    private readonly connections: Connections,
    private readonly bounds: Bounds,
  ) {}

  /** Empties the tables. */
  static async open(connections: Connections, bounds: Bounds): Promise<AttemptsEngine> {
    await connections.owner
      .query(`TRUNCATE awa.ready_entries, awa.completion_batches, awa.ready_tombstones, awa.lease_claims,
        awa.lease_claim_closures, awa.done_entries, awa.deferred_jobs, awa.dlq_entries, awa.attempt_state, awa.runtime_instances`);
    return new AttemptsEngine(connections, bounds);
  }

  /** Ends what is still open. */
  async close(): Promise<void> {
    for (const { client } of this.txs.values()) {
      await client.query('ROLLBACK');
      this.connections.idle.push(client);
    }
    this.txs.clear();
  }

  async observe(): Promise<Readonly<Record<string, Plain>>> {
    const { rows, listed } = await readRows(this.connections.owner, this);
    const numbers = Array.from({ length: this.bounds.instances + 1 }, (_, at) => at + 1);
    return {
      ...rows,
      instances: Object.fromEntries(
        numbers.map((inst): [number, Plain] => [
          inst,
          {
            life: this.alive.has(inst) ? 'alive' : this.instanceIds.has(inst) ? 'dead' : 'unborn',
            listed: listed.has(inst),
            fresh: listed.has(inst) && this.fresh.has(inst),
          },
        ]),
      ),
    };
  }

  async perform(given: Step): Promise<void> {
    const step = asAttemptsStep(given);
    switch (step.tag) {
      case 'Started':
        return this.enqueue(step.value.deferred);
      case 'Born':
        return this.register(step.value.inst);
      case 'Beat':
        return this.beat(step.value.inst, step.value.alive);
      case 'WentStale':
        return this.silence(step.value.inst);
      case 'Died':
        return this.die(step.value.inst);
      case 'Promoted':
        return this.promote(step.value.job);
      case 'Began':
        return undefined;
      case 'Returned':
        this.knownBy(step.value).result = step.value.result;
        return undefined;
      case 'SavedState':
        return this.save(step);
      case 'Stale':
        return this.closeInVain(step.value);
      case 'Committed':
      case 'Unanswered':
        return this.commit(step.value, step.tag === 'Committed');
      case 'Aborted':
        return this.abort(step.value);
      default:
        return this.begin(step.value);
    }
  }

  /** Odd jobs' queues have dead letters. Nobody's queue is hot, however often it is claimed from. */
  private async enqueue(deferred: readonly number[]): Promise<void> {
    const port = new PgAdapter(this.connections.client);
    const numbers = Array.from({ length: this.bounds.jobs }, (_, at) => at + 1);
    await registerQueues(
      port,
      SCHEMA,
      numbers.map((job) => ({ name: this.queueOf(job), deadLetterMs: job % 2 === 1 ? 86_400_000 : 0 })),
    );
    await this.connections.owner.query(
      `UPDATE awa.queue_claimer_state SET refreshed_at = clock_timestamp() + interval '1 hour' WHERE queue LIKE $1`,
      [`${this.walk}%`],
    );
    const ids = await enqueueJobs(
      port,
      SCHEMA,
      numbers.map((job) => ({
        queue: this.queueOf(job),
        priority: 2,
        kind: KIND,
        argsJson: '{}',
        maxAttempts: this.bounds.maxAttempts,
        runAt: undefined,
        delayMs: deferred.includes(job) ? TIMEOUT_MS : undefined,
        payloadJson: undefined,
      })),
    );
    for (const [at, id] of ids.entries()) {
      this.jobs.set(id, at + 1);
      this.jobIds.set(at + 1, id);
    }
  }

  private async register(inst: number): Promise<void> {
    const instanceId = randomUUID();
    this.instances.set(instanceId, inst);
    this.instanceIds.set(inst, instanceId);
    await registerInstance(new PgAdapter(this.connections.client), SCHEMA, {
      instanceId,
      hostname: 'model',
      pid: inst,
      version: '0.0.0',
      queues: [],
      staleAfterMs: HOURS,
      timeouts: { kinds: { [KIND]: TIMEOUT_MS }, queues: {} },
    });
    this.alive.add(inst);
    this.fresh.add(inst);
  }

  private async beat(inst: number, alive: boolean): Promise<void> {
    const answer = await heartbeat(new PgAdapter(this.connections.client), SCHEMA, this.idOf(inst));
    if (answer !== alive) throw new Error(`the heartbeat answered ${answer}`);
    if (!alive) return;
    await this.connections.owner.query(
      "UPDATE awa.runtime_instances SET stale_after = '10 h' WHERE instance_id = $1",
      [this.idOf(inst)],
    );
    this.fresh.add(inst);
  }

  private async silence(inst: number): Promise<void> {
    await this.connections.owner.query(
      "UPDATE awa.runtime_instances SET heartbeat_at = now() - interval '2 hours', stale_after = '1 ms' WHERE instance_id = $1",
      [this.idOf(inst)],
    );
    this.fresh.delete(inst);
  }

  private die(inst: number): void {
    this.alive.delete(inst);
    for (const name of this.held.keys()) if (name.startsWith(`${inst}:`)) this.held.delete(name);
  }

  /** Due is this one, and of those that nobody has locked no other. */
  private async promote(job: number): Promise<void> {
    const { owner, client } = this.connections;
    const promoted = await promoteOne(owner, new PgAdapter(client), this.jobIdOf(job));
    if (promoted !== 1) throw new Error(`${promoted} jobs were promoted`);
  }

  private async save({ value }: Extract<AttemptsStep, { tag: 'SavedState' }>): Promise<void> {
    const known = this.knownBy(value);
    known.hasTried = true;
    this.revision += 1;
    const [result] = await saveAttemptStates(new PgAdapter(this.connections.client), SCHEMA, [
      {
        job: known.job,
        revision: this.revision,
        progress: { percent: 50, message: undefined },
        checkpointJson: '{"half": true}',
      },
    ]);
    if (result !== value.result) throw new Error(`the save was ${result}`);
  }

  /** Both ways to hand a result in say that it does not count. */
  private async closeInVain(name: { readonly inst: number } & AttemptName): Promise<void> {
    const { job, result, hasTried } = this.knownBy(name);
    const port = new PgAdapter(this.connections.client);
    if (result === 'completed') {
      const free = await completeFreeAttempts(port, SCHEMA, [job], () => hasTried);
      const stale = await completeAttempts(port, SCHEMA, [job], () => hasTried);
      if (free[0] !== 'stale' || stale.length !== 1) throw new Error('a stale success was taken');
    } else {
      const given = [settlement(job, result)];
      const free = await settleFreeAttempts(port, SCHEMA, given);
      const states = await settleAttempts(port, SCHEMA, given);
      if (free[0] !== 'stale' || states[0] !== undefined) throw new Error('a stale result was taken');
    }
    this.held.delete(nameOf(name.inst, name));
  }

  private async begin(tx: ModelTx): Promise<void> {
    if (tx.kind === 'overdue') await this.moveClaim(tx, '-1 day');
    const client = this.connections.idle.pop() ?? (await this.connections.more());
    let claimed: readonly ClaimedJob[] = [];
    try {
      await client.query('BEGIN');
      claimed = await this.act(tx, new PgAdapter(client));
    } finally {
      this.txs.set(JSON.stringify(tx), { client, claimed });
    }
  }

  private async act(tx: ModelTx, port: PgAdapter): Promise<readonly ClaimedJob[]> {
    const expect = (what: string, got: unknown, expected: unknown): void => {
      if (got !== expected) throw new Error(`${what} answered ${String(got)}, not ${String(expected)}`);
    };
    const [item] = tx.items;
    switch (tx.kind) {
      case 'claim': {
        const { jobs } = await claimJobs(port, SCHEMA, this.idOf(tx.by), [
          { queue: this.queueOf(item!.job), limit: 2 },
        ]);
        expect(
          'the claim',
          jobs.map(({ jobId, runLease }) => `${jobId}/${runLease}`).join(),
          `${this.jobIdOf(item!.job)}/${item!.lease}`,
        );
        return jobs;
      }
      case 'close': {
        const { job, hasTried } = this.knownBy({ inst: tx.by, ...item! });
        if (tx.outcome === 'completed')
          expect('the completion', (await completeAttempts(port, SCHEMA, [job], () => hasTried)).length, 0);
        else
          expect(
            'the settlement',
            (await settleAttempts(port, SCHEMA, [settlement(job, tx.outcome)])).includes(undefined),
            false,
          );
        return [];
      }
      case 'cancel':
        expect(
          'the cancel',
          (await cancelJobs(port, SCHEMA, [this.jobIdOf(item!.job)], 'no more'))[0]?.result,
          'cancelled',
        );
        return [];
      case 'rescue':
        expect('the rescue', await rescueAttempts(port, SCHEMA, this.leader, HOURS, 100), tx.items.length);
        return [];
      case 'overdue':
        expect('the deadline', (await settleOverdue(port, SCHEMA, HOURS, 0, 100)).attempts, tx.items.length);
        return [];
      case 'release': {
        const known = [...this.held].flatMap(([name, { job }]) =>
          name.startsWith(`${tx.by}:`) ? [job.claim] : [],
        );
        expect(
          'the release',
          await releaseUnknownClaims(port, SCHEMA, this.idOf(tx.by), known),
          tx.items.length,
        );
        return [];
      }
    }
  }

  private async commit(tx: ModelTx, isAnswered: boolean): Promise<void> {
    const { claimed } = await this.end(tx, 'COMMIT');
    if (!isAnswered) return;
    const [item] = tx.items;
    if (tx.kind === 'claim')
      this.held.set(nameOf(tx.by, item!), { job: claimed[0]!, result: '', hasTried: false });
    // Of one that was given up, the handler runs on.
    const name = nameOf(tx.by, item ?? { job: 0, lease: 0 });
    if (tx.kind === 'close' && this.held.get(name)?.result === tx.outcome) this.held.delete(name);
  }

  private async abort(tx: ModelTx): Promise<void> {
    await this.end(tx, 'ROLLBACK');
    if (tx.kind === 'overdue') await this.moveClaim(tx, '0');
  }

  private async end(tx: ModelTx, how: 'COMMIT' | 'ROLLBACK'): Promise<OpenTx> {
    const key = JSON.stringify(tx);
    const open = this.txs.get(key)!;
    await open.client.query(how);
    this.txs.delete(key);
    this.connections.idle.push(open.client);
    return open;
  }

  private async moveClaim({ items: [item] }: ModelTx, by: string): Promise<void> {
    await this.connections.owner.query(
      'UPDATE awa.lease_claims SET claimed_at = clock_timestamp() + $3::interval WHERE $1::bigint = ANY (job_ids) AND $2::int = ANY (run_leases)',
      [this.jobIdOf(item!.job), item!.lease, by],
    );
  }

  private knownBy(name: { readonly inst: number } & AttemptName): Held {
    const known = this.held.get(nameOf(name.inst, name));
    if (known === undefined) throw new Error(`${nameOf(name.inst, name)} is not known`);
    return known;
  }

  private queueOf(job: number): string {
    return `${this.walk} ${job}`;
  }

  private jobIdOf(job: number): string {
    return this.jobIds.get(job) ?? '';
  }

  private idOf(inst: number): string {
    return this.instanceIds.get(inst) ?? '';
  }
}

const settlement = (job: ClaimedJob, outcome: string) => ({
  job,
  outcome: outcome as AttemptOutcome,
  error: 'as the model says',
  delayMs: TIMEOUT_MS,
});
