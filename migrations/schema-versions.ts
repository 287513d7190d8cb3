import { createAwa } from './0001-create-awa/index.js';
import type { SchemaVersion } from './schema-version.interface.js';

/** Every version there is, oldest first. */
export const SCHEMA_VERSIONS: readonly SchemaVersion[] = [createAwa];

/** The version this code reads and writes. */
export const CURRENT_SCHEMA_VERSION = SCHEMA_VERSIONS.length;
