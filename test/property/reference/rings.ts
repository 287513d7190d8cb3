import type { RingName } from '../../../lib/storage/operations/rings.js';

/** How many segments each ring has room for. */
const SLOTS: Readonly<Record<RingName, number>> = { ready: 8, claim: 4, done: 6 };

interface Segment {
  readonly generation: number;
  /** Rows that have been written to it, as far as the reference counts them. */
  rows: number;
}

/** Which segments each ring has, the last of each being the one that is written. */
export class Rings {
  private readonly segments: Record<RingName, Segment[]> = {
    ready: [{ generation: 0, rows: 0 }],
    claim: [{ generation: 0, rows: 0 }],
    done: [{ generation: 0, rows: 0 }],
  };

  current(ring: RingName): number {
    return this.segments[ring].at(-1)!.generation;
  }

  sealed(ring: RingName): readonly number[] {
    return this.segments[ring].slice(0, -1).map(({ generation }) => generation);
  }

  /** Rows are written to, or (by a negative number) taken out of, a segment. */
  count(ring: RingName, generation: number, rows: number): void {
    const segment = this.segments[ring].find((each) => each.generation === generation);
    if (segment !== undefined) segment.rows += rows;
  }

  /** @returns what is in the way; undefined: nothing, and it has been done. */
  rotate(ring: RingName): string | undefined {
    const blocker = this.blocker(ring);
    if (blocker === undefined) this.segments[ring].push({ generation: this.current(ring) + 1, rows: 0 });
    return blocker;
  }

  prune(ring: RingName, generation: number): void {
    this.segments[ring] = this.segments[ring].filter((each) => each.generation !== generation);
  }

  /** What is in the way of a rotation. */
  blocker(ring: RingName): string | undefined {
    if (this.segments[ring].at(-1)!.rows === 0) return 'nothing to seal';
    return this.segments[ring].length === SLOTS[ring] ? 'no free slot' : undefined;
  }
}
