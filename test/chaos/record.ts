import { closeSync, openSync, writeSync } from 'node:fs';

/** How the handler of an attempt ended, by its own account. Whether that counts, the database decides. */
export type RecordedOutcome = 'completed' | 'error' | 'snoozed' | 'failed';

/**
 * One line of a process's record. `offer`: the transaction is about to be committed or rolled back; without a `commit` or
 * a `rollback` after it nobody knows whether it was.
 */
export type ChaosEvent =
  | { readonly type: 'offer'; readonly tx: string; readonly jobs: readonly string[]; readonly kind: string }
  | { readonly type: 'commit' | 'rollback'; readonly tx: string }
  | {
      readonly type: 'start';
      readonly job: string;
      readonly lease: number;
      readonly kind: string;
      readonly attempt: number;
      readonly maxAttempts: number;
    }
  | { readonly type: 'effect'; readonly job: string; readonly lease: number }
  | {
      readonly type: 'outcome';
      readonly job: string;
      readonly lease: number;
      readonly outcome: RecordedOutcome;
    };

/** An event and when it was: milliseconds since 1970, by a clock that no scenario moves. */
export type ChaosRecord = ChaosEvent & { readonly at: number };

/** The machine's clock, not the `Date` of this process: that one may be off on purpose. */
export const recorderNow = (): number => performance.timeOrigin + performance.now();

/**
 * Appends events to a file of this process's own, apart from the database under test. Each line is with the operating system
 * when the call returns, so the death of the process takes none of them along.
 */
export class Recorder {
  private readonly file: number;

  constructor(path: string) {
    this.file = openSync(path, 'a');
  }

  write(event: ChaosEvent): void {
    writeSync(this.file, `${JSON.stringify({ ...event, at: recorderNow() })}\n`);
  }

  close(): void {
    closeSync(this.file);
  }
}
