import type * as fc from 'fast-check';
import type { SqlPort } from '../../../lib/storage/sql-port.js';
import type { Reference } from '../reference/reference.js';
import type { World } from '../world.js';
import { type Step, step } from './step.js';

/**
 * Does to the reference what the engine has answered, and throws where that was not to be answered. It finds what it is about by
 * ids: the reference may be another one by then.
 */
export type Judge = (ref: Reference, isRaced: boolean) => void;

/** One operation of one session, which is atomic: beside another one it does what it would have done before or after it. */
export interface Call {
  readonly send: (world: World, port: SqlPort) => Promise<Judge>;
  /** Lanes in which it makes jobs claimable. A claim looks at one lane after the other, so only one of them is atomic for it. */
  readonly fills?: readonly string[];
  /** Slot of the transaction that it ends. */
  readonly ends?: number;
  /** Slot of the transaction that it waits for. */
  readonly waitsFor?: number | undefined;
  readonly isClaim?: true;
}

export interface CallPlan {
  readonly name: string;
  readonly args: unknown;
  /** Undefined: it cannot be done now. */
  readonly plan: (ref: Reference) => Call | undefined;
}

/** The call by itself. */
export const alone = (plans: fc.Arbitrary<CallPlan>): fc.Arbitrary<Step> =>
  plans.map(({ name, args, plan }) =>
    step(name, args, {
      check: (ref) => {
        const call = plan(ref);
        return call !== undefined && call.waitsFor === undefined;
      },
      run: async (ref, world) => {
        const judge = await plan(ref)!.send(world, world.port);
        judge(ref, false);
      },
    }),
  );
