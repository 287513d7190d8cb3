import { setTimeout as delay } from 'node:timers/promises';
import type { Arena } from '../arena.js';
import type { Form, Scenario } from '../scenario.js';

/** Cuts connections right after the commit of a statement, at each worker in turn. */
async function loseAnswers(arena: Arena, times: number, statement: string, minRows: number): Promise<void> {
  for (let round = 0; round < times; round++) {
    const worker = arena.living[round % arena.living.length];
    if (worker === undefined) continue;
    await Promise.race([
      worker.proxy.loseAnswer(statement, { minRows }),
      delay(10_000, undefined, { ref: false }).then(() => {
        throw new Error(`no answer to ${statement} could be lost`);
      }),
    ]);
    await delay(300);
  }
  arena.notes.push(`${times} answers lost`);
}

const times = (form: Form) => form.pick(6, 60);

export const claimAnswerLost: Scenario = {
  name: 'claim-answer-lost',
  about: 'the connection is cut after the COMMIT of a claim, before its answer arrives',
  burnsNoAttempt: true,
  fault: (arena, form) => loseAnswers(arena, times(form), 'claim_jobs', 1),
};

export const completionAnswerLost: Scenario = {
  name: 'completion-answer-lost',
  about: 'the connection is cut after the COMMIT of a completion, before its answer arrives',
  burnsNoAttempt: true,
  fault: (arena, form) => loseAnswers(arena, times(form), 'complete_attempts', 0),
};
