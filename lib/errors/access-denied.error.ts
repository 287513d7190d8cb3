import { AwaError } from './awa-error.js';

/**
 * The database role of this process may not do what was asked of it. The message has the statement that the owner of the schema
 * has to run; `docs/roles.md` says which role needs what. The transaction, if there was one, has failed.
 *
 * @publicApi
 */
export class AccessDeniedError extends AwaError {
  /** What has to be granted. */
  readonly access: 'runtime' | 'producer' | 'reader';

  static {
    this.prototype.name = 'AccessDeniedError';
  }

  /**
   * @param schema the quoted schema
   * @param role the role that needs it; undefined when it is not known
   * @param options pass the driver's error as `cause`
   */
  constructor(
    schema: string,
    access: 'runtime' | 'producer' | 'reader',
    role: string | undefined,
    options?: ErrorOptions,
  ) {
    const { cause } = options ?? {};
    const refusal = cause instanceof Error ? cause.message : 'permission denied';
    const name = role === undefined ? 'the role of this process' : role.replaceAll("'", "''");
    super(
      'AWA_ACCESS_DENIED',
      `Postgres refused (${refusal}): as the owner of the schema, run SELECT ${schema}.grant_role('${name}', '${access}').`,
      options,
    );
    this.access = access;
  }
}
