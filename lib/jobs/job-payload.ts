import type { JobErrorRecord } from './job.js';
import type { JsonValue } from './json.js';

/** What a job carries besides its arguments: the columns' `payload`. */
export interface JobPayload {
  readonly metadata: Readonly<Record<string, JsonValue>>;
  readonly tags: readonly string[];
  readonly errors: readonly JobErrorRecord[];
}

const EMPTY: JobPayload = Object.freeze({ metadata: {}, tags: [], errors: [] });

/** The payload of a new job as JSON text; undefined when there is nothing to keep. */
export function payloadJson(metadataJson: string | undefined, tags: readonly string[]): string | undefined {
  const parts: string[] = [];
  if (metadataJson !== undefined && metadataJson !== '{}') parts.push(`"metadata":${metadataJson}`);
  if (tags.length > 0) parts.push(`"tags":${JSON.stringify(tags)}`);
  return parts.length === 0 ? undefined : `{${parts.join(',')}}`;
}

/** Reads a stored payload. */
export function parsePayload(json: string | null): JobPayload {
  return json === null ? EMPTY : { ...EMPTY, ...(JSON.parse(json) as Partial<JobPayload>) };
}
