import { setTimeout as delay } from 'node:timers/promises';

export interface UntilOptions {
  /** Default: 10 seconds. */
  readonly timeoutMs?: number;
  /** What is awaited, as the subject of "… did not happen": `the job being completed`. */
  readonly what: string;
}

const POLL_INTERVAL_MS = 20;

/**
 * Polls a state that announces nothing, such as a row of the database or a process, until the check returns a
 * value. For what the code under test does announce (an event, a callback), await a {@link deferred} instead.
 *
 * @returns what the check returned.
 * @throws Error naming what was awaited, with the check's last error if it threw.
 * @example
 * const job = await until(() => findCompleted(id), { what: 'the job being completed' });
 */
export async function until<T>(
  check: () => Promise<T | undefined | false>,
  { timeoutMs = 10_000, what }: UntilOptions,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let failure: { readonly cause: unknown } | undefined;
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
    } catch (cause) {
      // Connections are refused while a server restarts: the last failure counts, not the first.
      failure = { cause };
    }
    if (performance.now() > deadline) {
      throw new Error(`${what} did not happen within ${timeoutMs} ms.`, failure);
    }
    await delay(POLL_INTERVAL_MS);
  }
}

/** A promise with its handles, to be settled by the event that a test waits for. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * `Promise.withResolvers`, which Node 20 does not have.
 *
 * @example
 * const handled = deferred<string>();
 * worker.on('completed', ({ id }) => handled.resolve(id));
 * expect(await handled.promise).toBe(job.id);
 */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: Deferred<T>['resolve'];
  let reject!: Deferred<T>['reject'];
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
