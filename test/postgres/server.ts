import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { usableBinaries } from './binaries.js';
import { createTemporaryRoot, ensureCluster, locateDataDir, writeSettings } from './data-dir.js';
import { awaitRunning, boot, halt, type Cluster, type StopMode } from './lifecycle.js';
import { serverUser } from './os-user.js';
import { reapAfterExit } from './reaper.js';
import { defaultDataDir } from './repository.js';

export interface StartOptions {
  /** Default: `.data/postgres` of this checkout, or a new directory for a temporary server. */
  readonly dataDir?: string | undefined;
  /** Default: a free one. */
  readonly port?: number | undefined;
  /** postgresql.conf settings. Without effect on a server that is running already. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Remove the data directory on stop, and server and data once this process is gone. */
  readonly temporary?: boolean | undefined;
  /** An installed server, such as `/usr/lib/postgresql/15/bin`. Default: `POSTGRES_BIN`, else npm's binaries. */
  readonly binDir?: string | undefined;
}

/** A handle on the server of one data directory, whoever started it. */
export interface PostgresServer {
  /** Superuser `postgres`, database `postgres`. */
  readonly url: string;
  /** Where the data really is: elsewhere than requested if the server's OS user cannot reach that. */
  readonly dataDir: string;
  readonly version: string;
  /** True if it was running before. */
  readonly attached: boolean;
  /** Stops it; legal at any time, any number of times. `immediate` is a crash: recovery at the next start. */
  stop(mode?: StopMode): Promise<void>;
  /** Stops it and starts it again, with the same port, settings and data, `downMs` milliseconds later. */
  restart(mode?: 'fast' | 'immediate', downMs?: number): Promise<void>;
}

/** What no caller may change: reachable from this machine only, and no socket file to clean up. */
const FIXED_SETTINGS = { listen_addresses: '127.0.0.1', unix_socket_directories: '' };

/**
 * Starts a Postgres server, or attaches to the one that runs in the data directory.
 *
 * The server is a process of its own, in its own session: neither Ctrl-C in our terminal nor our death ends
 * it. An application can therefore drain its jobs during shutdown, and be killed in a test.
 *
 * @throws PostgresLaunchError with the tail of the server log.
 * @example
 * const server = await startPostgres({ temporary: true, settings: { fsync: 'off' } });
 * await server.stop();
 */
export async function startPostgres(options: StartOptions = {}): Promise<PostgresServer> {
  const isThrowAway = options.temporary === true && options.dataDir === undefined;
  const requested = isThrowAway ? undefined : (options.dataDir ?? defaultDataDir());
  const user = await serverUser(requested);
  const binaries = await usableBinaries(user, selectedBinDir(options));
  const root =
    requested === undefined ? await createTemporaryRoot(user) : await locateDataDir(requested, user);
  const cluster: Cluster = { binaries, user, dataDir: requested === undefined ? join(root, 'data') : root };

  const dispose = options.temporary === true ? disposer(cluster, root) : undefined;
  try {
    const running = await awaitRunning(cluster);
    if (running !== undefined) return handle(cluster, running, true, dispose);

    await ensureCluster(cluster);
    await writeSettings(cluster, { ...options.settings, ...FIXED_SETTINGS });
    const { port, attached } = await boot(cluster, options.port);
    return handle(cluster, port, attached, dispose);
  } catch (error) {
    await dispose?.();
    throw error;
  }
}

/** The server that runs in a data directory, or `undefined`. Starts nothing. */
export async function findPostgres(
  options: Pick<StartOptions, 'dataDir' | 'binDir'> = {},
): Promise<PostgresServer | undefined> {
  const requested = options.dataDir ?? defaultDataDir();
  const user = await serverUser(requested);
  const binaries = await usableBinaries(user, selectedBinDir(options));
  const cluster: Cluster = { binaries, user, dataDir: await locateDataDir(requested, user) };
  const port = await awaitRunning(cluster);
  return port === undefined ? undefined : handle(cluster, port, true, undefined);
}

/** An empty value, which is how shells and CI systems write "not set", selects npm's binaries. */
function selectedBinDir(options: Pick<StartOptions, 'binDir'>): string | undefined {
  const selected = options.binDir ?? process.env['POSTGRES_BIN'] ?? '';
  return selected === '' ? undefined : resolve(selected);
}

function handle(
  cluster: Cluster,
  port: number,
  attached: boolean,
  dispose: (() => Promise<void>) | undefined,
): PostgresServer {
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    dataDir: cluster.dataDir,
    version: cluster.binaries.version,
    attached,
    stop: async (mode = 'fast') => {
      await halt(cluster, mode);
      await dispose?.();
    },
    restart: async (mode = 'fast', downMs = 0) => {
      await halt(cluster, mode);
      await delay(downMs);
      await boot(cluster, port);
    },
  };
}

/** Removal of a temporary server's data: by us when it is stopped, by the reaper if we never get to it. */
function disposer(cluster: Cluster, root: string): () => Promise<void> {
  const reaper = reapAfterExit(cluster, root);
  return async () => {
    await rm(root, { recursive: true, force: true });
    reaper.release();
  };
}
