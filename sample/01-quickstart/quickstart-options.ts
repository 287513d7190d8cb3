import { parseArgs } from 'node:util';

/** The command line: `npm start -- --slow`. */
export class QuickstartOptions {
  /** How long each document is made to take besides its real work, in milliseconds. */
  readonly paceMs: number;

  constructor(argv: readonly string[]) {
    const { values } = parseArgs({ args: [...argv], options: { slow: { type: 'boolean', default: false } } });
    // With it a run takes about ten seconds: time to press Ctrl-C, or to kill something.
    this.paceMs = values.slow ? 500 : 0;
  }
}
