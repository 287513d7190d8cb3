import { readdirSync, readFileSync } from 'node:fs';

const IS_LINUX = process.platform === 'linux';

/** What /proc counts CPU time in: 100 a second on every Linux that we know of. */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly parent: number;
  readonly ownTicks: number;
  /** Of children that have ended and were waited for. */
  readonly childrenTicks: number;
}

/** @returns seconds of CPU that the processes have used so far; undefined elsewhere than on Linux */
export function cpuSecondsOf(pids: readonly number[]): number | undefined {
  if (!IS_LINUX) return undefined;
  const ticks = pids.reduce((sum, pid) => sum + (statOf(pid)?.ownTicks ?? 0), 0);
  return ticks / TICKS_PER_SECOND;
}

/**
 * A server and all its children. A child that ended between two calls is in the server's own account by then, so that
 * the difference of two calls has it exactly once.
 */
export function cpuSecondsOfTree(server: number): number | undefined {
  if (!IS_LINUX) return undefined;
  let ticks = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const stat = statOf(pid);
    if (stat === undefined) continue;
    if (pid === server) ticks += stat.ownTicks + stat.childrenTicks;
    else if (stat.parent === server) ticks += stat.ownTicks;
  }
  return ticks / TICKS_PER_SECOND;
}

/** @returns resident memory of all of them together, in megabytes */
export function rssMbOf(pids: readonly number[]): number | undefined {
  if (!IS_LINUX) return undefined;
  return pids.reduce((sum, pid) => {
    const kb = /^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? '0';
    return sum + Number(kb) / 1_024;
  }, 0);
}

function statOf(pid: number): Stat | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The second field is the program's name, which may have spaces and brackets in it. Counted from after that: proc(5).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  return { parent: field(4), ownTicks: field(14) + field(15), childrenTicks: field(16) + field(17) };
}

/** A process may have ended since it was listed. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
