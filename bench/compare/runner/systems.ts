import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { COMPARE } from './root.js';

/** A queue system that takes part, and how a process of its adapter is started. */
export interface System {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly store: 'postgres' | 'redis';
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

interface Known {
  readonly name: string;
  readonly store: 'postgres' | 'redis';
  /** @returns the command, or why there is none */
  readonly prepare: () => { readonly command: string; readonly args: readonly string[] } | string;
}

/** Peers need a newer Node than our oldest, so that all of them run on the one that comes from npm. */
const NEXT_NODE = join(COMPARE, 'node_modules/node/bin/node');
const HOST = join(COMPARE, 'build/systems/host.js');

const RUST = join(COMPARE, 'rust');
const GO = join(COMPARE, 'go');

const KNOWN: readonly Known[] = [
  onNode('awa', process.execPath, 'awa'),
  onNode('awa@next-node', NEXT_NODE, 'awa'),
  onNode('graphile', NEXT_NODE, 'graphile'),
  onNode('pg-boss', NEXT_NODE, 'pg-boss'),
  onNode('pg-boss-400', NEXT_NODE, 'pg-boss-400'),
  onNode('bullmq-pg', NEXT_NODE, 'bullmq-pg'),
  { ...onNode('bullmq-redis', NEXT_NODE, 'bullmq-redis'), store: 'redis' },
  native('awa-rust', RUST, ['cargo', 'build', '--release', '--locked'], 'target/release/awa-adapter'),
  native('river', GO, ['go', 'build', '-o', 'river-adapter', '.'], 'river-adapter'),
];

export const SYSTEM_NAMES: readonly string[] = KNOWN.map(({ name }) => name);

/** Builds what has to be built. What cannot take part on this machine is left out, with the reason. */
export function prepareSystems(names: ReadonlySet<string>): {
  readonly systems: readonly System[];
  readonly skipped: readonly Skipped[];
} {
  const systems: System[] = [];
  const skipped: Skipped[] = [];
  for (const { name, store, prepare } of KNOWN.filter((known) => names.has(known.name))) {
    const prepared = store === 'redis' && !exists('redis-server') ? 'redis-server is missing' : prepare();
    if (typeof prepared === 'string') skipped.push({ name, reason: prepared });
    else systems.push({ name, store, ...prepared });
  }
  return { systems, skipped };
}

function onNode(name: string, node: string, hosted: string): Known {
  const prepare: Known['prepare'] = () => {
    if (!existsSync(HOST)) return 'its adapter is not built';
    return existsSync(node) ? { command: node, args: [HOST, hosted] } : `${node} is missing`;
  };
  return { name, store: 'postgres', prepare };
}

function native(name: string, folder: string, build: readonly [string, ...string[]], binary: string): Known {
  const prepare: Known['prepare'] = () => {
    const [tool, ...args] = build;
    if (!existsSync(folder)) return 'it has no adapter';
    if (!exists(tool)) return `${tool} is missing`;
    process.stderr.write(`${name}: ${build.join(' ')}\n`);
    const { status } = spawnSync(tool, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
    return status === 0 ? { command: join(folder, binary), args: [] } : `${build.join(' ')} failed`;
  };
  return { name, store: 'postgres', prepare };
}

function exists(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, tool)));
}
