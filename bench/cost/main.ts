import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpus } from 'node:os';
import { startPostgres } from '../../test/postgres/server.js';
import { SERVER_SETTINGS } from '../server-settings.js';
import { enqueueCost } from './enqueue.js';
import { idleCost } from './idle.js';
import { renderTable, type Table } from './table.js';
import { waitingCost } from './waiting.js';

/*
 * What this library's own calls cost; what it is beside others is bench/compare:
 *
 *   npm run bench:cost -- enqueue idle waiting
 */

interface Measurement {
  readonly settings?: Readonly<Record<string, string>>;
  readonly measure: (url: string) => Promise<Table>;
}

const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  enqueue: { measure: enqueueCost },
  idle: { measure: idleCost, settings: { shared_preload_libraries: 'pg_stat_statements' } },
  // Checkpoints by size would come many times while the ten million are made.
  waiting: { measure: waitingCost, settings: { max_wal_size: '4GB' } },
};

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => MEASUREMENTS[name] === undefined);
if (unknown.length > 0)
  throw new Error(`none of ${Object.keys(MEASUREMENTS).join(', ')}: ${unknown.join(', ')}`);

const parts: string[] = [];
for (const [name, { measure, settings }] of Object.entries(MEASUREMENTS)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  // A server of its own for each: they ask for different settings, and leave it full.
  const server = await startPostgres({ temporary: true, settings: { ...SERVER_SETTINGS, ...settings } });
  try {
    const table = renderTable(await measure(server.url));
    process.stdout.write(`${table}\n`);
    parts.push(table);
  } finally {
    await server.stop('immediate');
  }
}

// Measured in part, it is not worth keeping: git ignores that folder.
const folder = join('bench/results', chosen.length === 0 ? '' : 'partial');
mkdirSync(folder, { recursive: true });
const date = new Date().toISOString().slice(0, 10);
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.versions.node}`;
const file = join(folder, `${date}-node${process.versions.node.split('.')[0]}-cost.md`);
writeFileSync(file, [`# Costs, ${date}`, machine, ...parts].join('\n\n'));
process.stdout.write(`${file}\n`);
