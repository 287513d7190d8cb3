import type { Value } from './value.js';

/** An operator, where one is passed as an argument. */
export type Callable = (...args: Slot[]) => Value;

/** What a name can stand for. */
export type Slot = Value | Callable;

/** Where the value of a parameter is while its operator runs: operators of a specification are never recursive. */
export interface Cell {
  value: Slot | undefined;
}

/** Gives the value of an expression in the machine's current state. */
export type Evaluate = () => Value;

/** Calls `found` for each way in which an action can be taken, with the machine's next state as the action leaves it. */
export type Act = (found: () => void) => void;

/** The states an expression is evaluated in. */
export class Machine {
  current: readonly Value[] = [];
  next: (Value | undefined)[] = [];
  /** Differs whenever the current state does: definitions keep their values as long as it is the same. */
  stamp = 0;

  constructor(readonly variables: readonly string[]) {
    this.next = variables.map(() => undefined);
  }

  /** Where a variable is in a state. */
  position(variable: string): number {
    const at = this.variables.indexOf(variable);
    if (at < 0) throw new Error(`there is no variable ${variable}`);
    return at;
  }

  enter(values: readonly Value[]): void {
    if (values === this.current) return;
    this.current = values;
    this.stamp++;
  }

  /** The next state, which has to be complete. */
  taken(): Value[] {
    return this.next.map((value, at) => {
      if (value === undefined) throw new Error(`an action says nothing about ${this.variables[at]}`);
      return value;
    });
  }

  /** Calls `body` with the next state as the current one. */
  shifted(body: () => void): void {
    const { current, next } = this;
    this.enter(this.taken());
    this.next = this.variables.map(() => undefined);
    body();
    this.enter(current);
    this.next = next;
  }
}
