import * as fc from 'fast-check';
import { answerStep, claimStep, saveStep } from './attempt.steps.js';
import { enqueueStep } from './enqueue.steps.js';
import {
  expireStep,
  promoteStep,
  registerStep,
  releaseStep,
  rescueStep,
  silenceStep,
  timeStep,
} from './maintenance.steps.js';
import {
  cancelKeyStep,
  cancelStep,
  drainStep,
  moveFailedStep,
  pauseStep,
  purgeStep,
  retryStep,
} from './queue.steps.js';
import { overtakenPruneStep, pruneStep, rotateStep } from './ring.steps.js';
import type { Step } from './step.js';
import { beginStep, endStep, rollBackToStep, savepointStep } from './transaction.steps.js';

/** How often each comes up: such that work is done, and now and then all of it is upset. */
const WEIGHTS: readonly (readonly [weight: number, step: fc.Arbitrary<Step>])[] = [
  [12, enqueueStep],
  [4, beginStep],
  [5, endStep],
  [2, savepointStep],
  [2, rollBackToStep],
  [9, claimStep],
  [12, answerStep],
  [3, saveStep],
  [4, cancelStep],
  [2, cancelKeyStep],
  [3, pauseStep],
  [1, drainStep],
  [3, retryStep],
  [1, purgeStep],
  [2, moveFailedStep],
  [6, rotateStep],
  [6, pruneStep],
  [3, overtakenPruneStep],
  [5, promoteStep],
  [2, timeStep],
  [2, silenceStep],
  [3, registerStep],
  [2, rescueStep],
  [1, releaseStep],
  [1, expireStep],
];

/** Sequences of steps. Without bias, since short ones reach little. */
export const anySequence = (maxCommands: number) =>
  fc.noBias(
    fc.commands(
      WEIGHTS.flatMap(([weight, step]) => Array.from({ length: weight }, () => step)),
      { maxCommands, size: 'max' },
    ),
  );
