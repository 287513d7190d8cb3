import type { JobErrorRecord, JobProgress } from './job.js';
import type { JsonValue } from './json.js';

/** What a job carries besides its arguments: the columns' `payload`. */
export interface JobPayload {
  readonly metadata: Readonly<Record<string, JsonValue>>;
  readonly tags: readonly string[];
  readonly errors: readonly JobErrorRecord[];
  readonly progress: JobProgress | null;
  readonly checkpoint: JsonValue;
}

/** As it is stored: `fold_attempt_state` writes the progress. */
interface StoredPayload extends Omit<JobPayload, 'progress'> {
  readonly progress: {
    readonly percent: number;
    readonly message: string | null;
    readonly updatedAt: string;
  };
}

const EMPTY: JobPayload = Object.freeze({
  metadata: {},
  tags: [],
  errors: [],
  progress: null,
  checkpoint: null,
});

/** The payload of a new job as JSON text; undefined when there is nothing to keep. */
export function payloadJson(metadataJson: string | undefined, tags: readonly string[]): string | undefined {
  const parts: string[] = [];
  if (metadataJson !== undefined && metadataJson !== '{}') parts.push(`"metadata":${metadataJson}`);
  if (tags.length > 0) parts.push(`"tags":${JSON.stringify(tags)}`);
  return parts.length === 0 ? undefined : `{${parts.join(',')}}`;
}

/** Reads a stored payload. */
export function parsePayload(json: string | null): JobPayload {
  if (json === null) return EMPTY;
  const { progress, ...stored } = JSON.parse(json) as Partial<StoredPayload>;
  return { ...EMPTY, ...stored, progress: progress === undefined ? null : toProgress(progress) };
}

function toProgress({ percent, message, updatedAt }: StoredPayload['progress']): JobProgress {
  return { percent, message: message ?? undefined, updatedAt: new Date(updatedAt) };
}
