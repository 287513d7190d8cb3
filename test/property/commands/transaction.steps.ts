import * as fc from 'fast-check';
import { commit, rollBack } from '../reference/enqueue.js';
import { laneOf } from '../reference/job.js';
import type { Reference } from '../reference/reference.js';
import type { RefTransaction } from '../reference/transaction.js';
import type { CallPlan } from './call.js';
import { pick, step } from './step.js';

/** One of the transactions that are open, and its session. */
export function openTransaction(
  ref: Reference,
  number: number | undefined,
): { readonly slot: number; readonly transaction: RefTransaction } | undefined {
  const open = ref.transactions.flatMap((transaction, slot) =>
    transaction === undefined ? [] : { slot, transaction },
  );
  return number === undefined ? undefined : pick(open, number);
}

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

export const endCall: fc.Arbitrary<CallPlan> = fc
  .record({ number: fc.nat(), commits: fc.constantFrom(true, true, false) })
  .map(({ number, commits }) => ({
    name: commits ? 'commit' : 'rollback',
    args: { number },
    plan: (ref) => {
      const open = openTransaction(ref, number);
      if (open === undefined) return undefined;
      const { slot, transaction } = open;
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
