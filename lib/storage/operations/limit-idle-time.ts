import type { SqlPort, SqlStatement } from '../sql-port.js';

// The server's own limit stays when it is the stricter one; 0 there means none.
const statement: SqlStatement = {
  name: 'limit_idle_time',
  text: `SELECT set_config('idle_in_transaction_session_timeout', least($1::int, nullif((extract(epoch FROM
    current_setting('idle_in_transaction_session_timeout')::interval) * 1000)::int, 0))::text, true)`,
};

/** Ends the transaction of the port when its process does nothing with it for so long, in milliseconds. For the rest of the transaction. */
export async function limitIdleTime(port: SqlPort, limitMs: number): Promise<void> {
  await port.query(statement, [limitMs]);
}
