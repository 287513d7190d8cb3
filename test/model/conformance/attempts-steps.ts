import type { Step } from '../quint-model.js';

/** An attempt by the model's numbers. */
export interface AttemptName {
  readonly job: number;
  readonly lease: number;
}

/** A transaction of the model. */
export interface ModelTx {
  readonly kind: 'claim' | 'close' | 'cancel' | 'rescue' | 'overdue' | 'release';
  /** The instance, or 0. */
  readonly by: number;
  readonly outcome: string;
  readonly items: readonly AttemptName[];
  readonly strikes: readonly number[];
}

interface OfInstance {
  readonly inst: number;
}

/** The steps of attempts.qnt, as they are told in `last`. */
export type AttemptsStep =
  | { readonly tag: 'Started'; readonly value: { readonly deferred: readonly number[] } }
  | { readonly tag: 'Born' | 'WentStale' | 'Died'; readonly value: OfInstance }
  | { readonly tag: 'Beat'; readonly value: OfInstance & { readonly alive: boolean } }
  | { readonly tag: 'Promoted'; readonly value: { readonly job: number } }
  | { readonly tag: 'Began' | 'Stale'; readonly value: OfInstance & AttemptName }
  | { readonly tag: 'Returned'; readonly value: OfInstance & AttemptName & { readonly result: string } }
  | {
      readonly tag: 'SavedState';
      readonly value: OfInstance & AttemptName & { readonly answered: boolean; readonly result: string };
    }
  | {
      readonly tag:
        'ClaimBegan' | 'CloseBegan' | 'CancelBegan' | 'RescueBegan' | 'OverdueBegan' | 'ReleaseBegan';
      readonly value: ModelTx;
    }
  | { readonly tag: 'Committed' | 'Unanswered' | 'Aborted'; readonly value: ModelTx };

export const asAttemptsStep = (step: Step): AttemptsStep => step as unknown as AttemptsStep;
