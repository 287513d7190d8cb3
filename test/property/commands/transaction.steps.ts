import * as fc from 'fast-check';
import { commit, rollBack } from '../reference/enqueue.js';
import { laneOf } from '../reference/job.js';
import type { Reference } from '../reference/reference.js';
import type { RefTransaction } from '../reference/transaction.js';
import type { Call, CallPlan } from './call.js';
import { pick, step } from './step.js';

export interface OpenTransaction {
  readonly slot: number;
  readonly transaction: RefTransaction;
}

export const openTransactions = ({ transactions }: Reference): OpenTransaction[] =>
  transactions.flatMap((transaction, slot) => (transaction === undefined ? [] : { slot, transaction }));

/** One of those that are open. */
export const openTransaction = (ref: Reference, number: number | undefined): OpenTransaction | undefined =>
  number === undefined ? undefined : pick(openTransactions(ref), number);

export const beginStep = fc
  .record({ slot: fc.nat({ max: 2 }), writes: fc.boolean() })
  .map(({ slot, writes }) =>
    step(
      'begin',
      { slot, writes },
      {
        check: (ref) => ref.transactions[slot] === undefined,
        run: async (ref, { clients }) => {
          await clients[slot]!.query('BEGIN');
          // An application that wrote something of its own first.
          if (writes) await clients[slot]!.query('SELECT pg_current_xact_id()');
          ref.transactions[slot] = {
            xid: writes ? ref.nextXid() : undefined,
            jobs: [],
            savepoint: undefined,
          };
        },
      },
    ),
  );

export function endTransaction({ slot, transaction }: OpenTransaction, commits: boolean): Call {
  const due = transaction.jobs.filter(({ hours }) => hours === 0);
  return {
    ends: slot,
    fills: commits ? [...new Set(due.map(({ job }) => laneOf(job)))] : [],
    send: async ({ clients }) => {
      await clients[slot]!.query(commits ? 'COMMIT' : 'ROLLBACK');
      return (now) => {
        if (commits) commit(now, now.transactions[slot]!);
        else rollBack(now, now.transactions[slot]!);
        now.transactions[slot] = undefined;
      };
    },
  };
}

export const endCall: fc.Arbitrary<CallPlan> = fc
  .record({ number: fc.nat(), commits: fc.constantFrom(true, true, false) })
  .map(({ number, commits }) => ({
    name: commits ? 'commit' : 'rollback',
    args: { number },
    plan: (ref) => {
      const open = openTransaction(ref, number);
      return open === undefined ? undefined : endTransaction(open, commits);
    },
  }));

export const savepointStep = fc.nat().map((number) =>
  step(
    'savepoint',
    { number },
    {
      check: (ref) => openTransaction(ref, number) !== undefined,
      run: async (ref, { clients }) => {
        const { slot, transaction } = openTransaction(ref, number)!;
        await clients[slot]!.query('SAVEPOINT s');
        transaction.savepoint = transaction.jobs.length;
      },
    },
  ),
);

export const rollBackToStep = fc.nat().map((number) =>
  step(
    'rollback to savepoint',
    { number },
    {
      check: (ref) => openTransaction(ref, number)?.transaction.savepoint !== undefined,
      run: async (ref, { clients }) => {
        const { slot, transaction } = openTransaction(ref, number)!;
        await clients[slot]!.query('ROLLBACK TO SAVEPOINT s');
        rollBack(ref, transaction, transaction.savepoint);
      },
    },
  ),
);
