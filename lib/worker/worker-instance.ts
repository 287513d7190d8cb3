import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { ResolvedWorkerOptions } from '../options/resolve-options.js';
import { deregisterInstance, registerInstance } from '../storage/operations/instances.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import { VERSION } from '../version.js';
import type { Timeouts } from './timeouts.js';

/** What the database knows of this process: the row under whose name it claims. */
export class WorkerInstance {
  private current = '';

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    private readonly options: ResolvedWorkerOptions,
    private readonly timeouts: Timeouts,
  ) {}

  /** Empty before it is registered. */
  get id(): string {
    return this.current;
  }

  /** Under a new name each time: claims of the old one are never mistaken for its own. */
  async register(): Promise<void> {
    const instanceId = randomUUID();
    await registerInstance(this.port, this.schema, {
      instanceId,
      hostname: hostname(),
      pid: process.pid,
      version: VERSION,
      queues: this.options.queues.map(({ name }) => name),
      staleAfterMs: this.options.heartbeatStaleMs,
      timeouts: this.timeouts.toRegister(),
    });
    this.current = instanceId;
  }

  /** Without its row, what the process may still hold is anybody's to take over. */
  async deregister(): Promise<void> {
    if (this.current === '') return;
    await deregisterInstance(this.port, this.schema, this.current).catch(() => undefined);
  }
}
