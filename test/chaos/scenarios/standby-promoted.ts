import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createTemporaryRoot } from '../../postgres/data-dir.js';
import { serverUser } from '../../postgres/os-user.js';
import { run } from '../../postgres/run.js';
import { type PostgresServer, startPostgres } from '../../postgres/server.js';
import { administer } from '../../support/database-admin.js';
import { until } from '../../support/signals.js';
import { Ground } from '../ground.js';
import type { OwnGround, Scenario } from '../scenario.js';

/** Installations with pg_basebackup, which the binaries from npm do not have. */
const BIN_DIRS = [18, 17, 16, 15].map((version) => `/usr/lib/postgresql/${version}/bin`);

async function binDirWithBackup(): Promise<string | undefined> {
  const candidates = [process.env['POSTGRES_BIN'] ?? '', ...BIN_DIRS].filter((folder) => folder !== '');
  for (const folder of candidates) {
    const tool = join(folder, 'pg_basebackup');
    if (
      await access(tool).then(
        () => true,
        () => false,
      )
    )
      return folder;
  }
  return undefined;
}

/** The standby of a run of this scenario. */
let standby: PostgresServer | undefined;
let root = '';

/** A primary, and a standby that has every commit before it is answered. */
async function prepare(): Promise<OwnGround> {
  const binDir = await binDirWithBackup();
  if (binDir === undefined) throw new Error('no pg_basebackup');
  const ground = await Ground.prepare({ binDir });
  try {
    const user = await serverUser(undefined);
    root = await createTemporaryRoot(user);
    const dataDir = join(root, 'standby');
    const source = ['-d', ground.server.url, '-c', 'fast', '-X', 'stream'];
    const { code, output } = await run(
      join(binDir, 'pg_basebackup'),
      [...source, '-D', dataDir, '-R', '-N'],
      { user },
    );
    if (code !== 0) throw new Error(`pg_basebackup failed: ${output}`);
    const settings = { fsync: 'off', max_connections: '80', shared_buffers: '64MB' };
    standby = await startPostgres({ dataDir, temporary: true, binDir, settings });
    await administer(ground.server.url, async (client) => {
      await client.query(`ALTER SYSTEM SET synchronous_standby_names = '*'`);
      await client.query('SELECT pg_reload_conf()');
      const isSync = async () =>
        (await client.query(`SELECT FROM pg_stat_replication WHERE sync_state = 'sync'`)).rowCount === 1;
      await until(isSync, { what: 'the standby being in step' });
    });
  } catch (error) {
    await ground.stop();
    throw error;
  }
  return {
    ground,
    stop: async () => {
      await ground.stop();
      await standby?.stop('immediate');
      await rm(root, { recursive: true, force: true });
    },
  };
}

export const standbyPromoted: Scenario = {
  name: 'standby-promoted',
  about:
    'the primary crashes, connections lead to its standby, which is read-only at first and then promoted',
  burnsNoAttempt: true,
  prepare,
  async cannotRun() {
    return (await binDirWithBackup()) === undefined
      ? `pg_basebackup is neither in POSTGRES_BIN nor in ${BIN_DIRS.join(', ')}`
      : undefined;
  },
  async fault(arena, form) {
    if (standby === undefined) throw new Error('no standby was prepared');
    await arena.ground.server.stop('immediate');
    arena.moveTo(standby.url);
    const readOnlyMs = form.pick(2_000, 10_000);
    await delay(readOnlyMs);
    await arena.admin((client) => client.query('SELECT pg_promote()'));
    arena.notes.push(`read-only for ${readOnlyMs / 1_000} s`);
  },
};
