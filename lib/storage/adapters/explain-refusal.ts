import { AccessDeniedError } from '../../errors/index.js';
import type { SqlStatement } from '../sql-port.js';
import { INSUFFICIENT_PRIVILEGE, sqlState } from '../sql-state.js';

/** A refusal for lack of privileges as an error that names the grant; any other error as it is. */
export function explainRefusal(error: unknown, { needs }: SqlStatement): unknown {
  if (needs === undefined || sqlState(error) !== INSUFFICIENT_PRIVILEGE) return error;
  return new AccessDeniedError(needs.schema, needs.access, undefined, { cause: error });
}
