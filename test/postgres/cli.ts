import { inspect, parseArgs } from 'node:util';

import { PostgresLaunchError } from './launch-error.js';
import { findPostgres, startPostgres } from './server.js';

const USAGE = `Usage: node build/test/postgres/cli.js <start|stop|status|url> [--data <dir>] [--port <port>]

  start   start the development server (or find it running) and print its url
  stop    stop it; its data stays
  status  say whether it runs; exit code 3 if it does not
  url     print nothing but the url; exit code 3 if it does not run

The data directory is .data/postgres unless --data says otherwise. POSTGRES_BIN selects an installed server,
such as /usr/lib/postgresql/15/bin, instead of the one from npm.`;

/** What `systemctl status` and `pg_ctl status` return for a service that is down. */
const EXIT_NOT_RUNNING = 3;
const EXIT_USAGE = 2;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { data: { type: 'string' }, port: { type: 'string' } },
  });
  const dataDir = values.data;
  switch (positionals[0]) {
    case 'start': {
      const port = values.port === undefined ? undefined : Number(values.port);
      const server = await startPostgres({ dataDir, port });
      const how = server.attached ? 'was running already' : 'started';
      say(`PostgreSQL ${server.version} ${how}, data in ${server.dataDir}\n${server.url}`);
      return 0;
    }
    case 'stop': {
      const server = await findPostgres({ dataDir });
      await server?.stop();
      say(
        server === undefined
          ? 'PostgreSQL was not running.'
          : `PostgreSQL stopped, data in ${server.dataDir}`,
      );
      return 0;
    }
    case 'status': {
      const server = await findPostgres({ dataDir });
      say(server === undefined ? 'PostgreSQL is not running.' : `PostgreSQL is running at ${server.url}`);
      return server === undefined ? EXIT_NOT_RUNNING : 0;
    }
    case 'url': {
      const server = await findPostgres({ dataDir });
      if (server === undefined) return EXIT_NOT_RUNNING;
      say(server.url);
      return 0;
    }
    default:
      process.stderr.write(`${USAGE}\n`);
      return EXIT_USAGE;
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // Ours are sentences for whoever typed the command, and so are those of parseArgs; others are bugs.
  const isForUsers = error instanceof PostgresLaunchError || error instanceof TypeError;
  process.stderr.write(`${isForUsers ? error.message : inspect(error)}\n`);
  process.exitCode = 1;
}
