import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type OnApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { DocumentRegistrar } from './document-registrar.js';
import { IndexDocumentHandler } from './index-document.handler.js';
import { IndexingState } from './indexing-state.js';
import { Progress } from './progress.js';

// Counts are cheap, whatever waits: beyond 10,000 a state they are estimates.
const WATCH_INTERVAL_MS = 100;

/**
 * The program: registers the documents, and watches until all of them are settled. The indexing itself is the
 * business of the workers, which Nest started before this and stops after it.
 */
@Injectable()
export class Quickstart implements OnModuleDestroy, OnApplicationShutdown {
  private readonly stopping = new AbortController();
  private finished = false;

  constructor(
    private readonly registrar: DocumentRegistrar,
    private readonly state: IndexingState,
    private readonly progress: Progress,
    private readonly handler: IndexDocumentHandler,
  ) {}

  /** Resolves to true when everything is done, and to false when a shutdown came first. */
  async run(): Promise<boolean> {
    try {
      const registered = this.registrar.registerAll(this.stopping.signal);
      await Promise.all([registered, this.watch(registered)]);
      this.finished = true;
      this.progress.end();
    } catch (error) {
      if (!this.stopping.signal.aborted) throw error;
    }
    return this.finished;
  }

  onModuleDestroy(): void {
    if (this.finished) return;
    this.stopping.abort();
    this.progress.end();
    console.log(`Stopping: no new jobs are claimed, ${this.handler.inFlight} in flight are drained.`);
  }

  /** The worker has drained by now, and the DataSource, in a global module, is still open. */
  async onApplicationShutdown(): Promise<void> {
    if (this.finished) return;
    const { documents, settled } = await this.state.read();
    console.log(`Stopped with ${settled} of ${documents} documents done. Start again to go on from here.`);
  }

  /** The database says when it is over: no counter of this process knows what other processes did, or will do. */
  private async watch(registered: Promise<unknown>): Promise<void> {
    let complete = false;
    void registered.then(() => (complete = true));
    for (;;) {
      const nothingToCome = complete;
      const state = await this.state.read();
      this.stopping.signal.throwIfAborted();
      this.progress.show(state);
      if (nothingToCome && state.openJobs === 0) return;
      await sleep(WATCH_INTERVAL_MS, undefined, { signal: this.stopping.signal });
    }
  }
}
