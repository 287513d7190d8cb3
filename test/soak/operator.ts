import type { DeadLetterService } from 'nestjs-awa';
import type { History } from './history.js';

/** Decides about dead letters, a page at a time: one in ten is purged, the others are retried. */
export class Operator {
  private stopping = false;

  constructor(
    private readonly deadLetters: DeadLetterService,
    private readonly history: History,
  ) {}

  stop(): void {
    this.stopping = true;
  }

  /** Until it is told to stop and there are none left. */
  async run(): Promise<void> {
    for (;;) {
      const isLast = this.stopping;
      const { items } = await this.deadLetters.list({ queue: 'mortal' }, { limit: 1_000 });
      if (isLast && items.length === 0) return;
      const [retried, purged] = [true, false].map((isRetried) =>
        items.map(({ id }) => id).filter((id) => !id.endsWith('7') === isRetried),
      ) as [string[], string[]];
      // Before the purge: nobody may run it after this.
      for (const id of purged) this.history.end(id, 'purged');
      await this.expectAll(purged, (ids) => this.deadLetters.purgeMany({ ids }), 'purged');
      await this.expectAll(retried, (ids) => this.deadLetters.retryMany({ ids }), 'retried');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  private async expectAll(
    ids: string[],
    act: (ids: string[]) => Promise<{ readonly done: number }>,
    what: string,
  ): Promise<void> {
    if (ids.length === 0) return;
    const { done } = await act(ids);
    if (done !== ids.length)
      this.history.problems.push(`${done} of ${ids.length} dead letters could be ${what}`);
  }
}
