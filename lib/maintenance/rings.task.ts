import { Logger } from '@nestjs/common';
import {
  listRingSegments,
  pruneRing,
  type RingName,
  type RingSegment,
  rotateRing,
  STILL_KEPT,
} from '../storage/operations/rings.js';
import type { SchemaName } from '../storage/schema-name.js';
import type { SqlPort } from '../storage/sql-port.js';
import type { MaintenanceTask } from './maintenance-task.interface.js';

/** When a ring is turned and reclaimed; times in milliseconds. */
export interface RingPolicy {
  /** A segment is sealed when it is this old and not empty. */
  readonly periodMs: number;
  /** Or when it is this large. */
  readonly maxSegmentBytes: number;
  /** A sealed segment is kept for this long, if it is not needed for longer; so is each completed job. */
  readonly retentionMs: number;
  /** Or until the ring is larger than this. */
  readonly maxBytes: number;
}

/** A reclaim that has been due for this long, in milliseconds, is worth a warning that names what is in the way. */
const STUCK_AFTER_MS = 600_000;

/** Segments may also fill up: it looks at least so often, in milliseconds. */
const MAX_REST_MS = 10_000;

/**
 * Looks four times in the shortest period; once while no attempt is claimed and nothing is to be reclaimed, since what begins after a
 * look is a period old at the next.
 *
 * Seals segments of the rings and reclaims them. Any number of processes may do it at once: a rotation is a
 * compare-and-swap, and a prune proves under its lock that it may.
 */
export class RingsTask implements MaintenanceTask {
  readonly name = 'rings';
  readonly intervalMs: number;
  private readonly logger = new Logger('Awa rings');
  private readonly warned = new Set<string>();
  private readonly restMs: number;
  private readonly periods: Readonly<Record<RingName, number>>;
  private nextLookAt = 0;

  constructor(
    private readonly port: SqlPort,
    private readonly schema: SchemaName,
    private readonly policies: Readonly<Record<RingName, RingPolicy>>,
  ) {
    const { ready, claim, done } = policies;
    this.periods = { ready: ready.periodMs, claim: claim.periodMs, done: done.periodMs };
    const shortest = Math.min(...Object.values(this.periods));
    this.intervalMs = Math.min(Math.max(Math.round(shortest / 4), 100), 5_000);
    // Half an interval less: a tick that comes a moment early is not to wait for the next.
    this.restMs = Math.min(shortest, MAX_REST_MS) - this.intervalMs / 2;
  }

  begin(): void {
    this.nextLookAt = 0;
  }

  async run(): Promise<boolean> {
    const now = performance.now();
    if (now < this.nextLookAt) return false;
    const segments = await listRingSegments(this.port, this.schema, this.periods);
    let mayRest = segments.some(({ ring, isIdle }) => ring === 'claim' && isIdle === true);
    for (const ring of ['claim', 'ready', 'done'] as const) {
      const own = segments.filter((segment) => segment.ring === ring);
      if (await this.tend(this.policies[ring], own)) mayRest = false;
    }
    this.nextLookAt = mayRest ? now + this.restMs : 0;
    return true;
  }

  /** @returns whether there was something to do, though it may not have been possible. */
  private async tend(policy: RingPolicy, segments: readonly RingSegment[]): Promise<boolean> {
    let wasDue = false;
    let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
    for (const segment of segments) {
      if (segment.sealedAgoMs === undefined) {
        const isDue = segment.openedAgoMs >= policy.periodMs || segment.bytes >= policy.maxSegmentBytes;
        if (!isDue || segment.isIdle === true) continue;
        wasDue = true;
        await rotateRing(this.port, this.schema, segment);
      } else if (segment.sealedAgoMs >= policy.retentionMs || bytes > policy.maxBytes) {
        wasDue = true;
        const keepMs = bytes > policy.maxBytes ? 0 : policy.retentionMs;
        const blocker = await pruneRing(this.port, this.schema, segment, keepMs);
        if (blocker === undefined) bytes -= segment.bytes;
        else if (blocker !== STILL_KEPT)
          this.report(segment, segment.sealedAgoMs - policy.retentionMs, blocker);
      }
    }
    return wasDue;
  }

  private report({ ring, generation }: RingSegment, overdueMs: number, blocker: string): void {
    const key = `${ring} ${generation}`;
    if (overdueMs < STUCK_AFTER_MS || this.warned.has(key)) return;
    this.warned.add(key);
    this.logger.warn(`segment ${generation} of the ${ring} ring cannot be reclaimed: ${blocker}`);
  }
}
