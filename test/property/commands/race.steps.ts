import * as fc from 'fast-check';
import { compare } from '../compare.js';
import { cloneDeep } from '../reference/clone.js';
import type { Reference } from '../reference/reference.js';
import { witness, type World } from '../world.js';
import type { Call, CallPlan, Judge } from './call.js';
import { checkSegments, learnOrder } from './learn-order.js';
import { step } from './step.js';

/** Two at once, on two sessions: what they answer, and what is there afterwards, has to be that of one after the other. */
export const raceStep = (plans: fc.Arbitrary<CallPlan>) =>
  fc.tuple(plans, plans).map(([left, right]) =>
    step(
      'race',
      { [`1 ${left.name}`]: left.args, [`2 ${right.name}`]: right.args },
      {
        check: (ref) => mayRace(left.plan(ref), right.plan(ref)),
        run: async (ref, world) => {
          const calls = [left.plan(ref)!, right.plan(ref)!];
          const [first, second] = (await Promise.all(
            calls.map(async (call, index) => call.send(world, world.racers[index]!)),
          )) as [Judge, Judge];
          const before = cloneDeep(ref);
          try {
            await settleOn(ref, world, [first, second]);
          } catch (refused) {
            Object.assign(ref, before);
            try {
              await settleOn(ref, world, [second, first]);
              witness(world, 'race, the other way round');
            } catch (error) {
              const message = `neither order explains it:\n1, 2: ${String(refused)}\n2, 1: ${String(error)}`;
              throw new AggregateError([refused, error], message, { cause: error });
            }
          }
        },
      },
    ),
  );

async function settleOn(ref: Reference, world: World, judges: readonly Judge[]): Promise<void> {
  const [xid, tick] = [ref.nextXid(), ref.nextTick()];
  for (const judge of judges) judge(ref, true);
  await learnOrder(ref, world, xid, tick);
  await checkSegments(ref, world);
  await compare(ref, world);
}

function mayRace(left: Call | undefined, right: Call | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  return [
    [left, right],
    [right, left],
  ].every(([one, other]) => {
    if (one!.isClaim === true && (other!.fills?.length ?? 0) > 1) return false;
    // Who waits for a transaction needs somebody who ends it.
    if (one!.waitsFor !== undefined && one!.waitsFor !== other!.ends) return false;
    return one!.ends === undefined || one!.ends !== other!.ends;
  });
}
