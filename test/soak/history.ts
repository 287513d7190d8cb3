/** What became of a job, as the handlers saw it. */
export type Ending = 'completed' | 'failed' | 'cancelled';

interface Entry {
  /** Run leases of the attempts that were started. */
  readonly started: Set<number>;
  ending: Ending | undefined;
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
  private ended = 0;

  commit(ids: readonly string[]): void {
    for (const id of ids) this.committed.add(id);
  }

  /** An attempt begins: no other may have had its lease, and the job must not have ended. */
  start(id: string, runLease: number): void {
    const entry = this.entry(id);
    if (entry.started.has(runLease)) this.problems.push(`job ${id}: lease ${runLease} was started twice`);
    if (entry.ending !== undefined)
      this.problems.push(`job ${id}: started again after it was ${entry.ending}`);
    entry.started.add(runLease);
  }

  end(id: string, ending: Ending): void {
    const entry = this.entry(id);
    if (entry.ending !== undefined) this.problems.push(`job ${id}: ${ending} after it was ${entry.ending}`);
    entry.ending = ending;
    this.ended += 1;
  }

  get committedCount(): number {
    return this.committed.size;
  }

  get endedCount(): number {
    return this.ended;
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
      entry = { started: new Set(), ending: undefined };
      this.entries.set(id, entry);
    }
    return entry;
  }
}
