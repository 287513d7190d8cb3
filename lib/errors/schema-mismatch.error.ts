import { AwaError } from './awa-error.js';

/**
 * The database objects are not of the version that this release of the package works with.
 *
 * @publicApi
 */
export class SchemaMismatchError extends AwaError {
  /** The Postgres schema that was looked at. */
  readonly schema: string;
  /** The version found there; undefined when the queue's objects are not installed at all. */
  readonly found: number | undefined;
  /** The version this release needs. */
  readonly expected: number;

  static {
    this.prototype.name = 'SchemaMismatchError';
  }

  constructor(schema: string, found: number | undefined, expected: number) {
    super('AWA_SCHEMA_VERSION', explain(schema, found, expected));
    this.schema = schema;
    this.found = found;
    this.expected = expected;
  }

  /** What has to move: the database when it is `missing` or `older`, the package when the database is `newer`. */
  get database(): 'missing' | 'older' | 'newer' {
    if (this.found === undefined) return 'missing';
    return this.found < this.expected ? 'older' : 'newer';
  }
}

function explain(schema: string, found: number | undefined, expected: number): string {
  if (found === undefined) {
    return `Schema "${schema}" has no queue in it: run the migrations of nestjs-awa/migrations (version ${expected}), or correct the option "schema".`;
  }
  return found < expected
    ? `Schema "${schema}" is at version ${found}, older than ${expected}: run the migrations of nestjs-awa/migrations.`
    : `Schema "${schema}" is at version ${found}, newer than ${expected}: upgrade nestjs-awa in this process.`;
}
