import { describe, expect, it } from 'vitest';
import {
  AccessDeniedError,
  AwaError,
  BootError,
  DatabaseUnavailableError,
  InvalidJobArgsError,
  InvalidOptionsError,
  JobArgsTooLargeError,
  JobTimeoutError,
  NotStartedError,
  SchemaMismatchError,
  StaleAttemptError,
  UniqueConflictError,
  UnknownQueueError,
} from '../../lib/errors/index.js';

const cause = new Error('cause');
const errors: [string, string, AwaError][] = [
  ['AccessDeniedError', 'AWA_ACCESS_DENIED', new AccessDeniedError('"awa"', 'producer', 'web', { cause })],
  ['BootError', 'AWA_BOOT', new BootError(['one', 'two'])],
  ['DatabaseUnavailableError', 'AWA_DATABASE_UNAVAILABLE', new DatabaseUnavailableError('claim', { cause })],
  ['InvalidJobArgsError', 'AWA_INVALID_ARGS', new InvalidJobArgsError([{ path: 'a', message: 'b' }], 'x')],
  ['InvalidOptionsError', 'AWA_INVALID_OPTIONS', new InvalidOptionsError('x()', ['one'])],
  ['JobArgsTooLargeError', 'AWA_ARGS_TOO_LARGE', new JobArgsTooLargeError(11, 10, 'x')],
  ['JobTimeoutError', 'AWA_JOB_TIMEOUT', new JobTimeoutError(5_000, { cause })],
  ['NotStartedError', 'AWA_NOT_STARTED', new NotStartedError('the worker')],
  ['SchemaMismatchError', 'AWA_SCHEMA_VERSION', new SchemaMismatchError('awa', 1, 2)],
  ['StaleAttemptError', 'AWA_STALE_ATTEMPT', new StaleAttemptError('9007199254740993', 3)],
  ['UniqueConflictError', 'AWA_UNIQUE_CONFLICT', new UniqueConflictError('x')],
  ['UnknownQueueError', 'AWA_UNKNOWN_QUEUE', new UnknownQueueError('emial', ['email', 'default'])],
];

describe('errors', () => {
  it.each(errors)('%s has its name and its code', (name, code, error) => {
    expect(error).toBeInstanceOf(AwaError);
    expect(error).toMatchObject({ name, code });
    expect(Object.keys(error)).not.toContain('name');
    expect(error.stack).toMatch(new RegExp(`^${name}: `));
    expect(error.message).toMatch(/^[A-Z][^]+/);
  });

  it('list every problem in the message', () => {
    expect(new BootError(['one', 'two']).message).toBe(
      'Correct these problems before the application can start:\n  - one\n  - two',
    );
  });

  it('keep a long list of issues out of the message, and in `issues`', () => {
    const issues = Array.from({ length: 500 }, (_, index) => ({ path: `[${index}]`, message: 'wrong' }));
    const error = new InvalidJobArgsError(issues);
    expect(error.message.split('\n')).toHaveLength(22);
    expect(error.message).toMatch(/and 480 more$/);
    expect(error.issues).toEqual(issues);
  });

  it('say which side of a schema mismatch has to move', () => {
    expect(new SchemaMismatchError('awa', undefined, 2)).toMatchObject({ database: 'missing' });
    expect(new SchemaMismatchError('awa', 1, 2)).toMatchObject({
      database: 'older',
      message: /run the migrations/,
    });
    expect(new SchemaMismatchError('awa', 3, 2)).toMatchObject({ database: 'newer', message: /upgrade/ });
  });

  it('keep their cause', () => {
    expect(new DatabaseUnavailableError('claim', { cause }).cause).toBe(cause);
  });
});
