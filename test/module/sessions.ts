import { Client } from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { until } from '../support/signals.js';
import type { TestDatabase } from '../support/test-database.js';

export interface Sessions {
  /** Application names of the sessions in the database, sorted. */
  names(): Promise<string[]>;
  /** Waits until exactly these are connected: a session that is closed counts until its backend process has ended. */
  become(...expected: readonly string[]): Promise<void>;
  /** Waits until nobody is connected to the database. Much less than an idle pool keeps its connections. */
  allGone(): Promise<void>;
}

/** Watches who is connected to a database, from outside of it. A spec that uses it must not use `database.query`. */
export function useSessions(database: Pick<TestDatabase, 'url'>): Sessions {
  const observer = new Client({ connectionString: inject('pgUrl') });
  beforeAll(() => observer.connect());
  afterAll(() => observer.end());

  const names = async () => {
    const { rows } = await observer.query<{ name: string }>(
      'SELECT application_name AS name FROM pg_stat_activity WHERE datname = $1 ORDER BY 1',
      [new URL(database.url).pathname.slice(1)],
    );
    return rows.map(({ name }) => name);
  };
  return {
    names,
    become: async (...expected) => {
      await until(async () => (await names()).join() === expected.join(), {
        what: `the sessions being ${expected.join()}`,
      });
    },
    allGone: async () => {
      await until(async () => (await names()).length === 0, {
        what: 'the end of all sessions',
        timeoutMs: 3_000,
      });
    },
  };
}
