import { randomBytes } from 'node:crypto';
import { afterAll } from 'vitest';
import type { Access } from '../../lib/storage/access.js';
import { withRole } from './database-admin.js';
import type { TestDatabase } from './test-database.js';

/** A role of the server that owns nothing. */
export interface TestRole {
  readonly name: string;
  /** The test's database as the role sees it. */
  readonly url: string;
}

/** Makes roles that can log in, and drops them, with all that they own and were granted, at the end of the file. */
export function useTestRoles(
  database: TestDatabase,
): (access?: Access, options?: string) => Promise<TestRole> {
  const names: string[] = [];

  afterAll(async () => {
    for (const name of names) await database.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`);
  });

  return async (access, options = '') => {
    const name = `awa_test_role_${randomBytes(6).toString('hex')}`;
    const password = randomBytes(12).toString('hex');
    await database.query(`CREATE ROLE ${name} LOGIN PASSWORD '${password}' ${options}`);
    names.push(name);
    if (access !== undefined) await database.query('SELECT awa.grant_role($1, $2)', [name, access]);
    return { name, url: withRole(database.ownerUrl, { name, password }) };
  };
}
