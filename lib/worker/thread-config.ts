/** A connection's configuration as a thread can have it. */
export interface ThreadConfig {
  /** A ClientConfig of pg, cloneable; without the password when that is a function. */
  readonly config: object;
  readonly password: ((config: object) => string | Promise<string>) | undefined;
}

interface ConfigParts {
  readonly password?: unknown;
  readonly ssl?: unknown;
  readonly stream?: unknown;
  readonly [key: string]: unknown;
}

/**
 * Prepares a ClientConfig of pg for another thread.
 *
 * @throws Error that says what cannot be had there: a `stream`, and functions in `ssl`
 */
export function threadConfig(given: object): ThreadConfig {
  const { password, ssl, stream, types: _types, ...rest } = given as ConfigParts;
  if (stream !== undefined) throw new Error('the option "stream" of the connection is a function');
  const config = {
    // What else is a function (a logger, a Promise class) is a pool's business.
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => typeof value !== 'function')),
    ...(ssl === undefined ? {} : { ssl: withKey(ssl) }),
    ...(typeof password === 'function' ? {} : { password }),
  };
  return {
    config: structuredClone(config),
    password: typeof password === 'function' ? (password as ThreadConfig['password']) : undefined,
  };
}

/** A pool hides the key from being spread. */
function withKey(ssl: unknown): unknown {
  if (typeof ssl !== 'object' || ssl === null) return ssl;
  return 'key' in ssl && ssl.key !== undefined ? { ...ssl, key: ssl.key } : ssl;
}
