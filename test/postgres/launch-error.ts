export type PostgresLaunchErrorCode =
  | 'BINARIES_MISSING'
  | 'BINARIES_UNUSABLE'
  | 'DATA_DIR_UNUSABLE'
  | 'INITDB_FAILED'
  | 'NO_OS_USER'
  | 'START_FAILED'
  | 'STOP_FAILED';

/**
 * The development server could not be prepared, started or stopped.
 *
 * The message ends with what the failing program printed, and for a failed start with the tail of the
 * server log, because "pg_ctl: could not start server" alone never says why.
 */
export class PostgresLaunchError extends Error {
  override readonly name = 'PostgresLaunchError';

  constructor(
    readonly code: PostgresLaunchErrorCode,
    message: string,
    detail = '',
  ) {
    super(detail.trim() === '' ? message : `${message}\n${detail.trim()}`);
  }
}
