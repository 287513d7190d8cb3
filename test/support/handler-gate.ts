/**
 * A handler that records its jobs, and holds them while it is closed.
 *
 * @example
 * const gate = new HandlerGate();
 * await apps.start({ handlers: [handlerOf(Work, gate.handle)] });
 * await until(async () => gate.running === 3, { what: 'three jobs running' });
 * gate.letGo();
 */
export class HandlerGate {
  /** The arguments of its jobs, and when they came, in the order of their starts. */
  readonly started: number[] = [];
  readonly startedAt: number[] = [];
  running = 0;
  /** Most that ran at a time. */
  most = 0;
  /** What a job does when it is not held, or not any more. */
  work: () => Promise<unknown> = async () => undefined;
  private readonly held: (() => void)[] = [];

  constructor(private isOpen = false) {}

  readonly handle = async ({ args }: { readonly args: number }): Promise<void> => {
    this.started.push(args);
    this.startedAt.push(performance.now());
    this.running += 1;
    this.most = Math.max(this.most, this.running);
    if (!this.isOpen) await new Promise<void>((resolve) => this.held.push(resolve));
    await this.work();
    this.running -= 1;
  };

  /** Ends so many of those that are held, the oldest first. */
  letGo(jobs = 1): void {
    for (const end of this.held.splice(0, jobs)) end();
  }

  /** Holds none any more. */
  open(): void {
    this.isOpen = true;
    this.letGo(this.held.length);
  }

  close(): void {
    this.isOpen = false;
  }
}
