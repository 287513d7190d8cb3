import { AccessDeniedError, BootError } from '../errors/index.js';
import type { ResolvedAwaOptions } from '../options/resolve-options.js';
import type { Database } from '../storage/connection/database.js';
import { listQueues, registerQueues } from '../storage/operations/queues.js';

/**
 * Makes the queues of the options known. A process that does not work on jobs may have a role that may not do that: then
 * somebody else must have, and the settings of queues are theirs to store.
 *
 * @throws BootError naming the queues that are missing
 * @throws AccessDeniedError when the role may not even see the queues, or is a worker's
 */
export async function registerOwnQueues(
  { pool, schema }: Database,
  { queues, queueNames, worker }: ResolvedAwaOptions,
): Promise<void> {
  try {
    await registerQueues(pool, schema, queues);
  } catch (error) {
    if (!(error instanceof AccessDeniedError) || worker !== undefined) throw error;
    const known = await listQueues(pool, schema);
    const missing = queueNames.filter((name) => !known.includes(name));
    if (missing.length === 0) return;
    throw new BootError(
      missing.map(
        (name) =>
          `queue "${name}" is not registered, and the database role of this process may not register it: start a worker that lists it first, or run SELECT ${schema.ident}.register_queues(ARRAY['${name.replaceAll("'", "''")}']) with a role that was granted "runtime"`,
      ),
      { cause: error },
    );
  }
}
