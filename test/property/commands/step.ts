import type * as fc from 'fast-check';
import { compare } from '../compare.js';
import type { Reference } from '../reference/reference.js';
import { witness, type World } from '../world.js';

export type Step = fc.AsyncCommand<Reference, World>;

/** Does something to the engine and to the reference, and compares what it answers; the rest is compared after each step. */
export interface StepBody {
  /** Whether it can be done now; a step that cannot is left out. */
  readonly check?: (ref: Reference) => boolean;
  readonly run: (ref: Reference, world: World) => Promise<void>;
}

/** @param args are printed with a failing sequence */
export function step(name: string, args: unknown, { check = () => true, run }: StepBody): Step {
  return {
    check: (ref) => check(ref as Reference),
    run: async (ref, world) => {
      await run(ref, world);
      witness(world, name);
      await compare(ref, world);
    },
    toString: () => `${name}(${JSON.stringify(args)})`,
  };
}

/** Which of several, by a number that means something however many there are: so a sequence stays meaningful while it shrinks. */
export function pick<Item>(items: readonly Item[], number: number): Item | undefined {
  return items[number % items.length];
}

/** Likewise some of them, each once. */
export function pickSome<Item>(items: readonly Item[], numbers: readonly number[]): Item[] {
  return items.length === 0 ? [] : [...new Set(numbers.map((number) => pick(items, number)!))];
}
