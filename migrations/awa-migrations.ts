import type { MigrationInterface, QueryRunner } from 'typeorm';
import { type SchemaName, schemaName } from '../lib/storage/schema-name.js';
import { applySchemaVersion, revertSchemaVersion } from './apply-schema-version.js';
import type { SchemaVersion } from './schema-version.interface.js';
import { SCHEMA_VERSIONS } from './schema-versions.js';

/**
 * The library's schema as TypeORM migration classes, to be run together with the application's own.
 *
 * A class does nothing when its version is already there, whoever applied it, so the list may be combined freely with
 * `runMigrations()` and the `migrate` option of the module.
 *
 * @param schema the schema to create, `awa` by default.
 * @returns migration classes in order.
 * @throws InvalidOptionsError when the schema name is not usable.
 * @example new DataSource({ type: 'postgres', url, migrations: [...awaMigrations(), ...ownMigrations] })
 * @publicApi
 */
export function awaMigrations(schema?: string): (new () => MigrationInterface)[] {
  const name = schemaName(schema);
  return SCHEMA_VERSIONS.map((version) => migrationClass(version, name));
}

function migrationClass(version: SchemaVersion, schema: SchemaName): new () => MigrationInterface {
  const suffix = schema.name === 'awa' ? '' : `_${schema.name}_`;
  return class implements MigrationInterface {
    readonly name = `${version.name}${suffix}${version.timestamp}`;

    async up(queryRunner: QueryRunner): Promise<void> {
      await applySchemaVersion(queryRunner, version, schema);
    }

    down(queryRunner: QueryRunner): Promise<void> {
      return revertSchemaVersion(queryRunner, version, schema);
    }
  };
}
