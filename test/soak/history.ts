/** What became of a job, as the handlers and the operator saw it. */
export type Ending = 'completed' | 'failed' | 'cancelled' | 'purged';

interface Entry {
  /** One bit for each run lease whose attempt was started. */
  started: number;
  ending: Ending | undefined;
}

interface Ended {
  readonly id: string;
  readonly ending: Ending;
  readonly at: number;
}

/**
 * Everything that was enqueued and everything that was run, recorded apart from the queue, and what is wrong about it.
 * A job is recorded as committed after its transaction has committed, and as begun by its handler, whichever comes first.
 */
export class History {
  readonly problems: string[] = [];
  readonly latenciesMs: number[] = [];
  private readonly entries = new Map<string, Entry>();
  private readonly committed = new Set<string>();
  /** The job of each unique key that was started and has not ended. */
  private readonly keys = new Map<string, string>();
  private readonly recent: Ended[] = [];
  private ended = 0;
  deduplicated = 0;
  buried = 0;

  commit(ids: readonly string[]): void {
    for (const id of ids) this.committed.add(id);
  }

  /** An attempt begins: no other may have had its lease, the job must not have ended, and nobody else may have its key. */
  start(id: string, runLease: number, uniqueKey?: string): void {
    const entry = this.entry(id);
    const lease = 2 ** runLease;
    if ((entry.started & lease) !== 0) this.problems.push(`job ${id}: lease ${runLease} was started twice`);
    if (entry.ending !== undefined)
      this.problems.push(`job ${id}: started again after it was ${entry.ending}`);
    entry.started |= lease;
    if (uniqueKey === undefined) return;
    const holder = this.keys.get(uniqueKey) ?? id;
    if (holder !== id) this.problems.push(`jobs ${holder} and ${id} with the key ${uniqueKey} live at once`);
    this.keys.set(uniqueKey, id);
  }

  end(id: string, ending: Ending, uniqueKey?: string): void {
    const entry = this.entry(id);
    if (entry.ending !== undefined) this.problems.push(`job ${id}: ${ending} after it was ${entry.ending}`);
    entry.ending = ending;
    this.ended += 1;
    if (this.recent.push({ id, ending, at: performance.now() }) > 10_000) this.recent.splice(0, 5_000);
    if (uniqueKey !== undefined) this.keys.delete(uniqueKey);
  }

  get committedCount(): number {
    return this.committed.size;
  }

  get endedCount(): number {
    return this.ended;
  }

  /** Some that ended between half a second and two seconds ago: recorded by now, and still kept. */
  endedLately(count: number): readonly Ended[] {
    const now = performance.now();
    return this.recent.filter(({ at }) => now - at > 500 && now - at < 2_000).slice(0, count);
  }

  /** To be asked when nothing waits or runs any more: exactly the committed jobs have ended. */
  check(): string[] {
    const lost = [...this.committed].filter((id) => this.entries.get(id)?.ending === undefined);
    const phantoms = [...this.entries.keys()].filter((id) => !this.committed.has(id));
    return [
      ...this.problems,
      ...lost.slice(0, 10).map((id) => `job ${id} was committed and has not ended`),
      ...phantoms.slice(0, 10).map((id) => `job ${id} was run and never committed`),
      ...(lost.length > 10 ? [`${lost.length} jobs lost in all`] : []),
      ...(phantoms.length > 10 ? [`${phantoms.length} phantoms in all`] : []),
    ];
  }

  private entry(id: string): Entry {
    let entry = this.entries.get(id);
    if (entry === undefined) {
      entry = { started: 0, ending: undefined };
      this.entries.set(id, entry);
    }
    return entry;
  }
}
