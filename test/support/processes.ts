import { readdir, readFile, readlink } from 'node:fs/promises';
import { sep } from 'node:path';

/** A running process, as /proc shows it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly uid: number;
  /** Id of the session, which is what Ctrl-C and a closing terminal reach. */
  readonly session: number;
}

/**
 * The processes that work in or below a directory. All of a Postgres server's processes work in its data
 * directory, so these are its servers. Linux only; elsewhere nothing is found.
 */
export async function processesIn(directory: string): Promise<readonly ProcessInfo[]> {
  const entries = await readdir('/proc').catch(() => []);
  const found = await Promise.all(
    entries.filter((name) => /^\d+$/.test(name)).map(async (name) => inspectProcess(Number(name), directory)),
  );
  return found.filter((process) => process !== undefined);
}

async function inspectProcess(pid: number, directory: string): Promise<ProcessInfo | undefined> {
  try {
    // Fails for zombies and other users' processes, and for those that end while we look.
    const cwd = await readlink(`/proc/${pid}/cwd`);
    if (cwd !== directory && !cwd.startsWith(directory + sep)) return undefined;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]);
    // After the parenthesised name: state, parent, process group, session.
    const session = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
    return { pid, uid, session };
  } catch {
    return undefined;
  }
}
