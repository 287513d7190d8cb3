// Runs in a thread of its own, started by heartbeat-thread-client.ts. In plain JavaScript, so that the file is there under the
// same name in the package and next to the sources, and without imports from the sources.
//
// Gives heartbeats on a connection of its own, as long as the event loop of the process is alive: a loop that is blocked for
// too long hangs, and then the process shall lose its leases.
//
// States: connecting -> beating -> connecting again when the connection breaks; ended by the message "stop".
import { parentPort, workerData } from 'node:worker_threads';
import { Client } from 'pg';

/** @import { ThreadMessage, ThreadOrder, ThreadSetup } from './heartbeat-thread-client.js' */

/** Between attempts to connect, in milliseconds: doubling up to the interval. */
const FIRST_BACKOFF_MS = 250;

/** A connection that takes longer to answer is given up, in milliseconds. */
const ANSWER_TIMEOUT_MS = 10_000;

/** What a role or database may have set for requests of its application, and what would keep a heartbeat from being written. */
const SESSION_SETTINGS = `SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES
  ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'), ('statement_timeout', '0'),
  ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0')) AS s(name, value)`;

/** The server gives up, in milliseconds, on sending to a process that is gone without a word. */
const SEND_TIMEOUT = 'SET tcp_user_timeout = 10000';

const setup = /** @type {ThreadSetup} */ (workerData);
const loopTicks = new Int32Array(setup.ticks);

let { instanceId } = setup;
/** @type {Client | undefined} */
let client;
/** @type {NodeJS.Timeout | undefined} */
let timer;
let failures = 0;
let isStopped = false;
let lastTick = Atomics.load(loopTicks, 0);
let lastLookAt = performance.now();
let blockedMs = 0;
/** @type {((password: string) => void)[]} */
let passwordWaiters = [];

/** @param {ThreadMessage} message */
function tell(message) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- not a window
  parentPort?.postMessage(message);
}

/** For how long the process's event loop has not moved. A time in which this thread stood still as well does not count. */
function lookAtLoop() {
  const now = performance.now();
  const tick = Atomics.load(loopTicks, 0);
  blockedMs = tick === lastTick ? blockedMs + Math.min(now - lastLookAt, 2 * setup.intervalMs) : 0;
  lastTick = tick;
  lastLookAt = now;
  return blockedMs;
}

async function connect() {
  const fresh = new Client({
    ...setup.config,
    // A function cannot come along: the process is asked for each password.
    ...(setup.asksForPassword ? { password: askForPassword } : {}),
    connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
    keepAlive: true,
  });
  // What stands in a connection string would go before an option.
  Object.assign(connectionOf(fresh).connectionParameters, {
    application_name: 'awa heartbeat',
    statement_timeout: false,
    lock_timeout: false,
    query_timeout: ANSWER_TIMEOUT_MS,
  });
  // Whoever uses it next hears of it.
  fresh.on('error', () => undefined);
  try {
    await fresh.connect();
    if (await ownsSession(fresh)) {
      await fresh.query(SESSION_SETTINGS);
      // Not every platform has it.
      await fresh.query(SEND_TIMEOUT).catch(() => undefined);
    }
    return fresh;
  } catch (error) {
    drop(fresh);
    throw error;
  }
}

/**
 * Whether the connection has a session of its own. A pooler's has not: what is set there would be somebody else's next. It
 * shows by the process id of the handshake, which a pooler has to invent.
 *
 * @param {Client} fresh
 */
async function ownsSession(fresh) {
  const { rows } = await fresh.query('SELECT pg_catalog.pg_backend_pid() AS pid');
  return rows[0]?.pid === connectionOf(fresh).processID;
}

/**
 * Of a client, what is not in its types.
 *
 * @param {Client} of
 */
function connectionOf(of) {
  return /** @type {{ connectionParameters: object, processID: number | null, connection: { stream: { destroy(): void } } }} */ (
    /** @type {unknown} */ (of)
  );
}

/** @returns {Promise<string>} */
function askForPassword() {
  return new Promise((resolve) => {
    passwordWaiters.push(resolve);
    tell({ type: 'password' });
  });
}

/** @param {Client} broken */
function drop(broken) {
  connectionOf(broken).connection.stream.destroy();
  if (client === broken) client = undefined;
}

/** @returns {Promise<number>} milliseconds until the next turn */
async function turn() {
  if (lookAtLoop() >= setup.maxBlockedLoopMs) {
    tell({ type: 'withheld', blockedMs });
    return setup.intervalMs;
  }
  try {
    client ??= await connect();
    const id = instanceId;
    const { rows } = await client.query(setup.statement, [id]);
    failures = 0;
    tell({ type: 'beat', instanceId: id, isAlive: rows[0]?.isAlive === true });
    return setup.intervalMs;
  } catch (error) {
    if (client !== undefined) drop(client);
    failures += 1;
    tell({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });
    return Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), setup.intervalMs);
  }
}

async function run() {
  timer = undefined;
  const waitMs = await turn();
  if (isStopped) await end();
  else timer = setTimeout(() => void run(), waitMs);
}

/** Closes what keeps the thread alive. */
async function end() {
  const last = client;
  client = undefined;
  await last?.end().catch(() => undefined);
  parentPort?.close();
}

parentPort?.on('message', (/** @type {ThreadOrder} */ order) => {
  if (order.type === 'password') for (const resolve of passwordWaiters.splice(0)) resolve(order.password);
  else if (order.type === 'instance') {
    ({ instanceId } = order);
  } else if (!isStopped) {
    isStopped = true;
    // A turn under way ends it.
    if (timer !== undefined) {
      clearTimeout(timer);
      void end();
    }
  }
});

void run();
