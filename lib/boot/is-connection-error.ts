const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'ENOENT']);

/** Whether an error says that the server is not there, or not yet: worth another try, unlike a wrong password. */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  // Classes 08 (connection exception), 57P (shutdown, starting up) and 53 (too many connections).
  if (typeof code === 'string') return NETWORK.has(code) || /^(08|57P|53)/.test(code);
  if (error instanceof AggregateError) return error.errors.some(isConnectionError);
  return isConnectionError(error.cause) || /timeout|terminated/i.test(error.message);
}
