import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Heading, Link } from './markdown.js';

/**
 * One markdown file. The row is written together with its job; an attempt of that job settles it, with
 * either the index (`indexedAt` and what follows) or the reason why there is none (`failure`).
 */
@Entity({ schema: 'quickstart', name: 'documents' })
export class Document {
  @PrimaryColumn('uuid')
  id!: string;

  /** Relative to the project, with forward slashes. Unique: a file is registered once. */
  @Column('text', { unique: true })
  path!: string;

  @Column('bigint', { name: 'job_id' })
  jobId!: string;

  @Column('timestamptz', { name: 'settled_at', nullable: true })
  settledAt!: Date | null;

  @Column('text', { nullable: true })
  failure!: string | null;

  @Column('text', { nullable: true })
  title!: string | null;

  @Column('jsonb', { nullable: true })
  headings!: readonly Heading[] | null;

  @Column('jsonb', { nullable: true })
  links!: readonly Link[] | null;

  @Column('integer', { nullable: true })
  words!: number | null;

  /** Number of the attempt that settled the document: 1 unless it was tried again. */
  @Column('integer', { nullable: true })
  attempt!: number | null;

  /** From the moment that attempt was due (or enqueued, if that was later) to the start of its handler. */
  @Column('double precision', { name: 'pickup_ms', nullable: true })
  pickupMs!: number | null;

  /** How many attempts came to their end. The first one settles; 2 would mean work done twice. */
  @Column('integer', { name: 'times_settled', default: 0 })
  timesSettled!: number;
}
