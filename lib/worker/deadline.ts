/** After its signal was aborted, a handler gets so long to come back, in milliseconds. */
const GRACE_MS = 1_000;

/** What is done when an attempt runs out of time. */
export interface DeadlineActions {
  /** Its time is over: tell the handler. */
  readonly onOverdue: () => void;
  /** The handler has not come back: the attempt is over, whatever the handler does. */
  readonly onFence: () => void;
  /** The handler has still not come back: its slot goes to others. */
  readonly onForsake: () => void;
  /** How long a fenced handler keeps its slot, in milliseconds; asked for when it is fenced. */
  readonly lingerMs: () => number;
}

/** Where an attempt with a time-out is. */
export type DeadlineState = 'running' | 'overdue' | 'fenced' | 'forsaken';

/**
 * Watches over the time of one attempt.
 *
 * States: running -> overdue, when the time is over -> fenced, after a grace -> forsaken, when its handler is not back after it
 * has lingered. end() in any of them, any number of times: nothing happens any more.
 */
export class Deadline {
  private current: DeadlineState = 'running';
  private timer: NodeJS.Timeout | undefined;

  constructor(
    timeoutMs: number,
    private readonly actions: DeadlineActions,
  ) {
    this.next(timeoutMs, () => this.overdue());
  }

  get state(): DeadlineState {
    return this.current;
  }

  end(): void {
    clearTimeout(this.timer);
  }

  private next(inMs: number, step: () => void): void {
    // A handler that never comes back must not keep a process from ending.
    this.timer = setTimeout(step, inMs).unref();
  }

  private overdue(): void {
    this.current = 'overdue';
    this.next(GRACE_MS, () => this.fence());
    this.actions.onOverdue();
  }

  private fence(): void {
    this.current = 'fenced';
    this.next(this.actions.lingerMs(), () => this.forsake());
    this.actions.onFence();
  }

  private forsake(): void {
    this.current = 'forsaken';
    this.actions.onForsake();
  }
}
