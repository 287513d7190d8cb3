/** Postgres refuses something for lack of privileges. */
export const INSUFFICIENT_PRIVILEGE = '42501';

const LOST_STATEMENT = new Set(['26000', '0A000', '42P05']);

/** The SQLSTATE of an error that the server sent, whichever driver passed it on; undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  const { code } = error;
  // Node's own codes (ECONNRESET, ...) are longer.
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** Classes 08 (connection exception), 57P (shutdown, starting up) and 53 (out of connections, memory, disk): it will pass. */
export function isOutage(state: string): boolean {
  return /^(08|57P|53)/.test(state);
}

/** Class 22 (data exception) and 23 (constraint violation): the data's fault, and it will be again. */
export function isDataError(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error) ?? '');
}

/**
 * The server's idea of the prepared statements is another than ours: unknown (somebody discarded them, or a pooler gave us another
 * session), outdated by a migration, or there already. As after any error, nothing was done. A new connection starts afresh.
 */
export function isLostStatement(error: unknown): boolean {
  return LOST_STATEMENT.has(sqlState(error) ?? '');
}
