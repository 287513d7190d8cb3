import * as fc from 'fast-check';
import { anyLimits, claimCall, completeCall, oneLimit, saveStep, settleCall } from './attempt.steps.js';
import { alone } from './call.js';
import { enqueueCall, enqueueOneCall } from './enqueue.steps.js';
import { cancelInCall, completeInCall, heldStep } from './held.steps.js';
import {
  expireStep,
  promoteCall,
  registerStep,
  releaseStep,
  rescueStep,
  silenceStep,
  timeStep,
} from './maintenance.steps.js';
import {
  cancelCall,
  cancelKeyCall,
  drainStep,
  moveFailedStep,
  pauseStep,
  purgeCall,
  retryCall,
} from './queue.steps.js';
import { raceStep } from './race.steps.js';
import { overtakenPruneStep, pruneCall, rotateCall } from './ring.steps.js';
import type { Step } from './step.js';
import { beginStep, endCall, rollBackToStep, savepointStep } from './transaction.steps.js';

/** Each with what may happen beside it; claims and answers most often. */
const anyRaceStep = raceStep(
  fc.oneof(
    { weight: 4, arbitrary: claimCall(oneLimit) },
    { weight: 3, arbitrary: completeCall },
    { weight: 3, arbitrary: settleCall },
    { weight: 3, arbitrary: enqueueOneCall },
    { weight: 3, arbitrary: endCall },
    { weight: 3, arbitrary: cancelCall },
    { weight: 1, arbitrary: cancelKeyCall },
    { weight: 1, arbitrary: retryCall },
    { weight: 1, arbitrary: purgeCall },
    { weight: 2, arbitrary: promoteCall },
    { weight: 1, arbitrary: rotateCall },
    { weight: 2, arbitrary: pruneCall },
  ),
);

/** What applications do in transactions, and what the workers' statements do meanwhile. */
const anyHeldStep = heldStep(
  fc.oneof(cancelInCall, completeInCall),
  fc.oneof(claimCall(anyLimits), completeCall, settleCall),
);

/** How often each comes up: such that work is done, and now and then all of it is upset. */
const WEIGHTS: readonly (readonly [weight: number, step: fc.Arbitrary<Step>])[] = [
  [12, alone(enqueueCall)],
  [4, beginStep],
  [5, alone(endCall)],
  [3, savepointStep],
  [4, rollBackToStep],
  [9, alone(claimCall(anyLimits))],
  [5, alone(completeCall)],
  [7, alone(settleCall)],
  [3, saveStep],
  [4, alone(cancelCall)],
  [2, alone(cancelKeyCall)],
  [3, pauseStep],
  [1, drainStep],
  [3, alone(retryCall)],
  [2, alone(purgeCall)],
  [2, moveFailedStep],
  [6, alone(rotateCall)],
  [6, alone(pruneCall)],
  [3, overtakenPruneStep],
  [5, alone(promoteCall)],
  [2, timeStep],
  [2, silenceStep],
  [3, registerStep],
  [2, rescueStep],
  [5, releaseStep],
  [2, expireStep],
  [10, anyRaceStep],
  [4, anyHeldStep],
];

/** Sequences of steps. Without bias, since short ones reach little. */
export const anySequence = (maxCommands: number) =>
  fc.noBias(
    fc.commands(
      WEIGHTS.flatMap(([weight, step]) => Array.from({ length: weight }, () => step)),
      { maxCommands, size: 'max' },
    ),
  );
