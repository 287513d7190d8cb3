import * as fc from 'fast-check';
import { PgAdapter } from '../../../lib/storage/adapters/pg.adapter.js';
import { completeAttempts } from '../../../lib/storage/operations/close-attempts.js';
import { SCHEMA } from '../../support/storage-fixture.js';
import { compare } from '../compare.js';
import type { CallPlan } from './call.js';
import { cancelIn } from './queue.steps.js';
import { attemptsFor, judgeEndings, someAttempts } from './attempt.steps.js';
import { step } from './step.js';

/** `ctx.completeIn()` of several handlers, in one transaction. */
export const completeInCall: fc.Arbitrary<CallPlan> = someAttempts.map((args) => ({
  name: 'complete in a transaction',
  args,
  plan: (ref) => {
    const attempts = attemptsFor(ref, args);
    if (attempts.length === 0) return undefined;
    const jobs = attempts.map(({ claimed }) => claimed);
    const endings = jobs.map((job) => ({ job, outcome: 'completed' as const, hours: 0 }));
    return {
      send: async ({ holder }) => {
        const stale = await completeAttempts(new PgAdapter(holder), SCHEMA, jobs, () => true);
        const answers = jobs.map((job) => (stale.includes(job) ? 'stale' : 'completed'));
        return (now) => judgeEndings(now, endings, answers, false);
      },
    };
  },
}));

export const cancelInCall: fc.Arbitrary<CallPlan> = fc.nat().map((number) => ({
  name: 'cancel in a transaction',
  args: { number },
  plan: (ref) => cancelIn(ref, number, ({ holder }) => ({ client: holder })),
}));

/**
 * An application's transaction that ends attempts, and stays open while the workers go on: they wait for nothing, see nothing of it,
 * and claims and answers of what it has locked are for later.
 */
export const heldStep = (holders: fc.Arbitrary<CallPlan>, workers: fc.Arbitrary<CallPlan>) =>
  fc
    .record({
      held: holders,
      meanwhile: fc.array(workers, { minLength: 1, maxLength: 3 }),
      commits: fc.boolean(),
    })
    .map(({ held, meanwhile, commits }) =>
      step(
        'hold',
        { [held.name]: held.args, meanwhile: meanwhile.map(({ name, args }) => ({ [name]: args })), commits },
        {
          check: (ref) => held.plan(ref) !== undefined,
          run: async (ref, world) => {
            await world.holder.query('BEGIN');
            const judgeHeld = await held.plan(ref)!.send(world, world.port);
            for (const { plan } of meanwhile) {
              const call = plan(ref);
              if (call === undefined) continue;
              const judge = await call.send(world, world.port);
              judge(ref, true);
              await compare(ref, world);
            }
            await world.holder.query(commits ? 'COMMIT' : 'ROLLBACK');
            if (commits) judgeHeld(ref, false);
          },
        },
      ),
    );
