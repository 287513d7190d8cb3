import { Logger } from '@nestjs/common';
import type { Database } from '../storage/connection/database.js';
import { ManagedClient } from '../storage/connection/managed-client.js';
import { PipelinedPort } from '../storage/connection/pipelined-port.js';
import {
  FOLLOWER_NAME,
  keepLeadership,
  resignLeadership,
  takeLeadership,
} from '../storage/operations/leadership.js';
import type { SqlPort } from '../storage/sql-port.js';
import { LeadershipLost } from './leadership-lost.js';
import type { LeadershipTiming } from './leadership-timing.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';
import type { RescueObserver } from './rescue.task.js';
import { within } from './within.js';

/** A statement that takes longer has lost its connection; in milliseconds. */
const PROMPT_TIMEOUT_MS = 30_000;
const PATIENT_TIMEOUT_MS = 120_000;

/** How long a resignation waits for a server that does not answer, in milliseconds. */
const RESIGN_TIMEOUT_MS = 2_000;

/**
 * Decides which process does the maintenance: the one whose session holds the schema's leader lock. The others have nothing
 * to do but try for it now and then, and as soon as a leader says that it goes.
 *
 * States: following -> leading (the lock was free) -> following (the connection ended; resigned), closed from any of them. The server
 * frees the lock when the session ends: at once when the process dies, and also when it stands still or is cut off, since a leader's
 * session that says nothing for the length of the lease is ended by the server. So a leader may believe in itself for a while
 * after another one has taken over; every maintenance statement is right under any number of leaders.
 *
 * Behind a transaction pooler there is no session to hold a lock, so there is no election: every process is `unelected` and does the
 * maintenance.
 *
 * Two lanes, each a connection of its own: what must be prompt never waits for a long prune. The second exists only while leading.
 */
export class Leadership implements MaintenanceTask {
  readonly name = 'leadership';
  readonly intervalMs: number;
  /** For short work that others wait for: promotion, rescue. */
  readonly prompt: SqlPort = this.lane(
    () => this.lockPort,
    () => (this.saidAt = performance.now()),
  );
  /** For work that may take long: reclaiming rings, deleting what is over. */
  readonly patient: SqlPort = this.lane(() => this.patientPort);
  private readonly logger = new Logger('Awa leader');
  private readonly client: ManagedClient;
  private readonly lockPort: PipelinedPort;
  private patientClient: ManagedClient | undefined;
  private patientPort: PipelinedPort | undefined;
  private goodbye: Promise<void> | undefined;
  private state: 'following' | 'leading' | 'unelected' = 'following';
  private isClosed = false;
  private hasToldOfPooler = false;
  private nextTryAt = 0;
  /** When something was last said in the session that holds the lock, and the name it has. */
  private saidAt = 0;
  private namedAfter = '';
  private barredUntil = 0;
  private inContactAt = 0;
  /** Connections that have ended. */
  private breaks = 0;
  private onChange: (leads: boolean) => void = () => undefined;

  constructor(
    private readonly database: Database,
    private readonly timing: LeadershipTiming,
    private readonly observer: RescueObserver,
  ) {
    this.intervalMs = Math.min(timing.keepAliveMs, timing.retryMs) / 2;
    this.client = new ManagedClient({
      config: database.clientConfig,
      applicationName: FOLLOWER_NAME,
      pipeline: true,
      onDisconnect: () => {
        this.breaks += 1;
        if (this.state === 'leading') this.logger.warn('lost the leadership with its connection');
        this.follow();
      },
    });
    this.lockPort = new PipelinedPort(this.client, PROMPT_TIMEOUT_MS);
  }

  /** Whether this process does the maintenance now. */
  get isLeading(): boolean {
    return this.state !== 'following' && !this.isClosed;
  }

  /** Calls back at each change, at once. */
  observe(onChange: (leads: boolean) => void): void {
    this.onChange = onChange;
  }

  /** Tries at the next run: the leader has gone. */
  expectVacancy(): void {
    this.nextTryAt = 0;
  }

  /** Keeps the leadership, or tries for it when it is time. */
  async run(): Promise<void> {
    if (this.isClosed || this.state === 'unelected') return;
    if (this.state === 'leading') return this.keep();
    if (performance.now() < Math.max(this.nextTryAt, this.barredUntil)) return;
    // Not all at the same time, and not once more by all when one of them has got it.
    this.nextTryAt = performance.now() + this.timing.retryMs * (0.75 + Math.random() / 2);
    await this.try();
  }

  /** Nothing is begun on the lanes any more; what runs there ends at its next statement. */
  fence(): void {
    this.isClosed = true;
  }

  /** Resigns and closes the connections; there is no way back. */
  async close(): Promise<void> {
    this.fence();
    if (this.state === 'leading') {
      await within(RESIGN_TIMEOUT_MS, resignLeadership(this.lockPort, this.database.schema));
    }
    this.follow();
    await Promise.all([this.client.close(), this.goodbye]);
  }

  private async try(): Promise<void> {
    const { breaks } = this;
    await this.client.connect();
    if (this.client.isPooled) return this.goUnelected();
    const { instanceId } = this.observer;
    const taken = await takeLeadership(this.lockPort, this.database.schema, instanceId, this.timing.leaseMs);
    if (!taken || breaks !== this.breaks || this.isClosed) return;
    this.inContactAt = performance.now();
    this.saidAt = this.inContactAt;
    this.namedAfter = instanceId;
    this.lead('leading');
    this.logger.log(`instance ${instanceId} leads`);
  }

  private async keep(): Promise<void> {
    const now = performance.now();
    if (this.observer.contactMs > 0) this.inContactAt = now;
    // Its heartbeats fail. It does not judge itself, so somebody else must be able to.
    if (now - this.inContactAt > 2 * this.timing.leaseMs) return this.resign();
    // What the tasks say on the prompt lane keeps in touch as well.
    const { instanceId } = this.observer;
    if (now < this.saidAt + this.timing.keepAliveMs && instanceId === this.namedAfter) return;
    this.saidAt = now;
    await keepLeadership(this.lockPort, this.database.schema, instanceId);
    this.namedAfter = instanceId;
  }

  private async resign(): Promise<void> {
    this.logger.warn('resigns: the heartbeats of this process do not come through');
    // Its own resignation is told to it as well.
    this.barredUntil = performance.now() + 5 * this.timing.leaseMs;
    this.follow();
    await resignLeadership(this.lockPort, this.database.schema);
  }

  private goUnelected(): void {
    if (!this.hasToldOfPooler) {
      this.hasToldOfPooler = true;
      this.logger.warn(
        'behind a transaction pooler no leader can be elected: this process does all the maintenance, as does every other one that is. ' +
          'Give AwaModule the option "directUrl".',
      );
    }
    this.lead('unelected');
  }

  private lead(state: 'leading' | 'unelected'): void {
    if (this.isClosed) return;
    this.state = state;
    this.patientClient = new ManagedClient({
      config: this.database.clientConfig,
      applicationName: 'awa housekeeping',
      pipeline: true,
    });
    this.patientPort = new PipelinedPort(this.patientClient, PATIENT_TIMEOUT_MS);
    this.onChange(true);
  }

  private follow(): void {
    if (this.state === 'following') return;
    this.state = 'following';
    this.onChange(false);
    // What is under way there gets no more than the time of a goodbye.
    this.goodbye = this.patientClient?.close();
    this.patientClient = undefined;
    this.patientPort = undefined;
  }

  private lane(current: () => SqlPort | undefined, onQuery: () => void = () => undefined): SqlPort {
    return {
      query: (statement, parameters) => {
        const port = this.isLeading ? current() : undefined;
        if (port === undefined) return Promise.reject(new LeadershipLost());
        onQuery();
        return port.query(statement, parameters);
      },
    };
  }
}
