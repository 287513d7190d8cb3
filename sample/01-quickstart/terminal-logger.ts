import { ConsoleLogger } from '@nestjs/common';

/** Nest's logger, made to get along with a progress line: a message replaces it, and it is drawn again below. */
export class TerminalLogger extends ConsoleLogger {
  constructor() {
    // The queue warns of each attempt that failed. With so many on purpose, the summary will do.
    super({ logLevels: ['error', 'fatal'] });
  }

  protected override printMessages(...args: Parameters<ConsoleLogger['printMessages']>): void {
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
    super.printMessages(...args);
  }
}
