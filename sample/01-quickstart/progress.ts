import { Injectable } from '@nestjs/common';
import type { IndexingSnapshot } from './indexing-state.js';

// With all the numbers, 80 columns are enough.
const BAR_WIDTH = 20;
const LINE_INTERVAL_MS = 1_000;

/** A line that is redrawn on a terminal; elsewhere, say in a log, a line every second. */
@Injectable()
export class Progress {
  private readonly output = process.stdout;
  private lastLineAt = 0;
  private drawn = false;

  show(state: IndexingSnapshot): void {
    const line = format(state);
    if (this.output.isTTY) {
      // Cut to the window: a line that wraps cannot be redrawn.
      this.output.write(`\r\x1b[K${line.slice(0, (this.output.columns || 80) - 1)}`);
      this.drawn = true;
    } else if (Date.now() - this.lastLineAt >= LINE_INTERVAL_MS) {
      this.lastLineAt = Date.now();
      this.output.write(`${line}\n`);
    }
  }

  /** Leaves the last state on the screen and the cursor below it. */
  end(): void {
    if (this.drawn) this.output.write('\n');
    this.drawn = false;
  }
}

function format({ documents, settled, jobs }: IndexingSnapshot): string {
  const share = documents === 0 ? 0 : settled / documents;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
  const { available, running, retryable, failed } = jobs;
  return `${bar} ${settled}/${documents}  available ${available}  running ${running}  retryable ${retryable}  failed ${failed}`;
}
