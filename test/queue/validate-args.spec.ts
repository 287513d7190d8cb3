import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { InvalidJobArgsError } from '../../lib/errors/index.js';
import { validateArgs } from '../../lib/queue/validate-args.js';

const good = { users: [{ email: 'a@example.org' }] };
const bad = { users: [{ email: 'a@example.org' }, { email: 5 }] };

function handWritten<Output>(
  validate: (value: unknown) => StandardSchemaV1.Result<Output> | Promise<StandardSchemaV1.Result<Output>>,
): StandardSchemaV1<unknown, Output> {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

describe('validateArgs', () => {
  it.each([
    ['zod', z.object({ users: z.array(z.object({ email: z.string() })) })],
    ['valibot', v.object({ users: v.array(v.object({ email: v.string() })) })],
    ['arktype', type({ users: type({ email: 'string' }).array() })],
  ])('works with %s', (_library, schema) => {
    expect(validateArgs(schema, good)).toEqual(good);
    expect(() => validateArgs(schema, bad, 'invite')).toThrow(
      expect.objectContaining({
        code: 'AWA_INVALID_ARGS',
        kind: 'invite',
        issues: [{ path: 'users[1].email', message: expect.stringMatching(/string/) }],
      }),
    );
  });

  it('gives the output of the schema', () => {
    const schema = z.object({ at: z.string().transform((iso) => new Date(iso)) });
    const output = validateArgs(schema, { at: '2026-01-01T00:00:00Z' });
    expectTypeOf(output).toEqualTypeOf<{ at: Date } | Promise<{ at: Date }>>();
    expect(output).toEqual({ at: new Date('2026-01-01T00:00:00Z') });
  });

  it.each([
    ['zod', z.string().refine((value) => Promise.resolve(value === 'known'))],
    [
      'valibot',
      v.pipeAsync(
        v.string(),
        v.checkAsync((value) => Promise.resolve(value === 'known')),
      ),
    ],
  ])('waits for an asynchronous schema of %s', async (_library, schema) => {
    await expect(validateArgs(schema, 'known')).resolves.toBe('known');
    await expect(validateArgs(schema, 'unknown')).rejects.toBeInstanceOf(InvalidJobArgsError);
  });

  it('reports every issue, with any kind of path', () => {
    const schema = handWritten(() => ({
      issues: [
        { message: 'as a whole' },
        { message: 'keys', path: ['a', { key: 0 }, { key: 'odd key' }] },
        { message: 'symbol', path: [Symbol('s')] },
      ],
    }));
    expect(() => validateArgs(schema, {})).toThrow(
      expect.objectContaining({
        issues: [
          { path: '', message: 'as a whole' },
          { path: 'a[0]["odd key"]', message: 'keys' },
          { path: '[Symbol(s)]', message: 'symbol' },
        ],
        message:
          'Correct the job arguments:\n  - as a whole\n  - a[0]["odd key"]: keys\n  - [Symbol(s)]: symbol',
      }),
    );
  });

  it('passes on what the schema throws', async () => {
    const outage = new Error('lookup failed');
    const throwing = handWritten(() => {
      throw outage;
    });
    expect(() => validateArgs(throwing, {})).toThrow(outage);
    await expect(
      validateArgs(
        handWritten(() => Promise.reject(outage)),
        {},
      ),
    ).rejects.toBe(outage);
  });
});
