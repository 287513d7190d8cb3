import { isOutage, sqlState } from '../storage/sql-state.js';

const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EPIPE',
  'EHOSTUNREACH',
  'ENOENT',
]);

/** Whether an error says that the server is not there, or not yet: worth another try, unlike a wrong password. */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const state = sqlState(error);
  if (state !== undefined) return isOutage(state);
  if ('code' in error && typeof error.code === 'string') return NETWORK.has(error.code);
  if (error instanceof AggregateError) return error.errors.some(isConnectionError);
  return isConnectionError(error.cause) || /timeout|terminated/i.test(error.message);
}
