import type { SchemaName } from '../lib/storage/schema-name.js';

/** One step of the schema: statements that bring it from the version before to this one, and back. */
export interface SchemaVersion {
  readonly version: number;
  readonly name: string;
  /** Milliseconds since the epoch: TypeORM orders migrations by the 13 digits their names end in. */
  readonly timestamp: number;
  up(schema: SchemaName): string[];
  down(schema: SchemaName): string[];
}
