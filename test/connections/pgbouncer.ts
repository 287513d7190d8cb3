import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll } from 'vitest';
import { freePort } from '../postgres/free-port.js';
import { reachableTempDir, serverUser } from '../postgres/os-user.js';
import { until } from '../support/signals.js';

/** Where Debian's package and others have it. */
const PATHS = [
  process.env['TEST_PGBOUNCER'],
  '/usr/sbin/pgbouncer',
  '/usr/bin/pgbouncer',
  '/usr/local/bin/pgbouncer',
];

/** The program, or undefined where it is not installed. */
export const PGBOUNCER: string | undefined = PATHS.find((path) => {
  if (path === undefined || path === '') return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

if (PGBOUNCER === undefined) {
  process.stdout.write(
    'SKIPPED: tests through PgBouncer. It is not installed (apt-get install pgbouncer).\n',
  );
}

/** Starts poolers, which are ended after the last test of the file. */
export function usePgBouncer(): (databaseUrl: string, mode?: 'transaction' | 'session') => Promise<string> {
  const running: { readonly child: ChildProcess; readonly directory: string }[] = [];

  afterAll(async () => {
    for (const { child, directory } of running) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await rm(directory, { recursive: true, force: true });
    }
  });

  /** @returns the same database by way of the pooler. */
  return async (databaseUrl, mode = 'transaction') => {
    const target = new URL(databaseUrl);
    const user = await serverUser(undefined);
    const directory = await mkdtemp(join(await reachableTempDir(user), 'pgbouncer-'));
    const port = await freePort();
    const name = target.pathname.slice(1);
    const users = join(directory, 'users.txt');
    const settings = join(directory, 'pgbouncer.ini');
    await writeFile(
      users,
      `"${decodeURIComponent(target.username)}" "${decodeURIComponent(target.password)}"\n`,
    );
    await writeFile(
      settings,
      `[databases]
${name} = host=${target.hostname} port=${target.port} dbname=${name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = ${mode}
default_pool_size = ${mode === 'session' ? 20 : 5}
max_client_conn = 100
`,
    );
    if (user !== undefined) {
      await chmod(directory, 0o755);
      for (const path of [directory, users, settings]) await chown(path, user.uid, user.gid);
    }
    const child = spawn(PGBOUNCER ?? '', [settings], {
      stdio: 'ignore',
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    });
    running.push({ child, directory });
    const pooled = new URL(databaseUrl);
    pooled.host = `127.0.0.1:${port}`;
    const answers = async () => {
      const client = new Client({ connectionString: pooled.toString() });
      client.on('error', () => undefined);
      try {
        await client.connect();
        await client.query('SELECT 1');
        return true;
      } finally {
        await client.end().catch(() => undefined);
      }
    };
    await until(answers, { what: 'the pooler answering' });
    return pooled.toString();
  };
}
