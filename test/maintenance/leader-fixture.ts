import { randomUUID } from 'node:crypto';
import { SchedulerRegistry } from '@nestjs/schedule';
import { afterEach } from 'vitest';
import { Leadership } from '../../lib/maintenance/leadership.js';
import type { LeadershipTiming } from '../../lib/maintenance/leadership-timing.js';
import { MaintenanceService } from '../../lib/maintenance/maintenance.service.js';
import type { MaintenanceTask } from '../../lib/maintenance/maintenance-task.interface.js';
import { UrlDatabase } from '../../lib/storage/connection/url.database.js';
import { schemaName } from '../../lib/storage/schema-name.js';

/** Nobody takes over but for a notification, and nobody is replaced for standing still. */
export const PATIENT: LeadershipTiming = { leaseMs: 600_000, keepAliveMs: 20, retryMs: 600_000 };

/** Whoever can lead does within a moment. */
export const QUICK: LeadershipTiming = { leaseMs: 1_000, keepAliveMs: 20, retryMs: 50 };

/** One that could lead. */
export interface Candidate {
  readonly instanceId: string;
  readonly leadership: Leadership;
  readonly maintenance: MaintenanceService;
  readonly registry: SchedulerRegistry;
  /** Of its heartbeats. */
  contactMs: number;
}

export interface CandidateOptions {
  readonly timing?: LeadershipTiming;
  readonly schema?: string;
  readonly url?: string;
  readonly tasks?: (leadership: Leadership) => readonly MaintenanceTask[];
}

/** Candidates for the leadership, without workers; stopped at the end of each test. */
export function useCandidates(database: { readonly url: string }): (options?: CandidateOptions) => Candidate {
  const ends: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    await Promise.all(ends.splice(0).map(async (end) => end()));
  });

  return ({ timing = QUICK, schema, url = database.url, tasks = () => [] } = {}) => {
    const place = new UrlDatabase(url, schemaName(schema), () => undefined);
    const observer = { instanceId: randomUUID(), contactMs: 60_000 };
    const leadership = new Leadership(place, timing, observer);
    const registry = new SchedulerRegistry();
    const maintenance = new MaintenanceService(registry);
    ends.push(
      () => maintenance.stop(),
      () => place.close(),
    );
    maintenance.start(leadership, tasks(leadership));
    return Object.assign(observer, { leadership, maintenance, registry });
  };
}
