import type { ClientBase, Pool } from 'pg';
import { DataSource } from 'typeorm';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { InvalidOptionsError } from '../../lib/errors/index.js';
import { defineJob, MAX_DELAY_MS } from '../../lib/jobs/index.js';
import type { JsonValue } from '../../lib/jobs/index.js';
import type { PgClientLike } from '../../lib/queue/transaction-options.js';
import { resolveEnqueueOptions } from '../../lib/queue/resolve-enqueue-options.js';

const definition = defineJob<{ id: string }>('reindex', {
  queue: 'search',
  maxAttempts: 7,
  tags: ['nightly'],
});

function problemsOf(options: object): readonly string[] {
  try {
    resolveEnqueueOptions(definition, options);
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems;
    throw error;
  }
  throw new Error('expected an InvalidOptionsError');
}

function json(metadata: Record<string, JsonValue>): string | undefined {
  return resolveEnqueueOptions(definition, { metadata }).metadataJson;
}

const connection = { query: () => Promise.resolve({ rows: [] }) };
const { manager } = new DataSource({ type: 'postgres' });
const queryRunner = new DataSource({ type: 'postgres' }).createQueryRunner();

describe('resolveEnqueueOptions', () => {
  it('takes everything from the definition', () => {
    for (const options of [undefined, {}, { queue: undefined, runAt: undefined, manager: undefined }]) {
      expect(resolveEnqueueOptions(definition, options)).toEqual({
        kind: 'reindex',
        queue: 'search',
        priority: 2,
        maxAttempts: 7,
        runAt: undefined,
        delayMs: undefined,
        metadataJson: undefined,
        tags: ['nightly'],
        connection: undefined,
      });
    }
  });

  it('takes everything from the options', () => {
    const runAt = new Date('2030-01-01T00:00:00Z');
    const resolved = resolveEnqueueOptions(definition, {
      queue: 'other',
      priority: 4,
      maxAttempts: 1000,
      runAt,
      metadata: { tenant: 'a', nested: { list: [1, null] } },
      tags: ['a', 'nightly', 'a'],
    });
    runAt.setTime(0);
    expect(resolved).toEqual({
      kind: 'reindex',
      queue: 'other',
      priority: 4,
      maxAttempts: 1000,
      runAt: new Date('2030-01-01T00:00:00Z'),
      delayMs: undefined,
      metadataJson: '{"tenant":"a","nested":{"list":[1,null]}}',
      tags: ['nightly', 'a'],
      connection: undefined,
    });
  });

  it('lists every problem at once', () => {
    const problems = problemsOf({
      queue: '',
      priority: 0,
      maxAttempts: 0,
      runAt: 'tomorrow',
      delay: -1,
      metadata: [],
      tags: [5],
      manager: {},
      client: connection,
      retries: 3,
    });
    expect(problems).toHaveLength(11);
    expect(problems.join('\n')).toMatch(
      /retries[^]*queue[^]*priority[^]*maxAttempts[^]*runAt[^]*delay[^]*not both[^]*tags\[0\][^]*metadata[^]*at most one[^]*manager/,
    );
  });

  it.each([0, 1, 1500.4, MAX_DELAY_MS])('takes a delay of %d ms', (delay) => {
    expect(resolveEnqueueOptions(definition, { delay }).delayMs).toBe(Math.round(delay));
  });

  it.each([
    [{ delay: MAX_DELAY_MS + 1 }, /delay must be/],
    [{ delay: Number.NaN }, /delay must be/],
    [{ delay: Infinity }, /delay must be/],
    [{ delay: '5' }, /delay must be/],
    [{ runAt: new Date(Number.NaN) }, /valid Date/],
    [{ runAt: new Date('+010000-01-01T00:00:00Z') }, /valid Date/],
    [{ runAt: new Date('0000-12-31T00:00:00Z') }, /valid Date/],
    [{ runAt: 5 }, /must be a Date/],
    [{ priority: '1' }, /priority must be/],
    [{ priority: 2.5 }, /priority must be/],
    [{ maxAttempts: 1001 }, /maxAttempts must be/],
    [{ queue: 'q'.repeat(201) }, /at most 200/],
    [{ queue: ' q' }, /white space/],
    [{ tags: ['t'.repeat(201)] }, /tags\[0\].*at most 200/],
    [{ tags: ['ok', 'nul\0'] }, /tags\[1\].*NUL/],
    [{ tags: ['\udfff'] }, /lone surrogate/],
    [{ tags: 'urgent' }, /tags must be an array/],
    [{ tags: Array.from({ length: 20 }, (_, index) => `t${index}`) }, /at most 20 together/],
    [{ quue: 'x' }, /no option "quue" \(known: queue, /],
  ])('refuses %o', (options, message) => {
    const problems = problemsOf(options);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(message);
  });
});

describe('metadata of an enqueue', () => {
  it('may be any plain JSON object', () => {
    expect(json({})).toBeUndefined();
    expect(json(Object.assign(Object.create(null), { a: undefined, b: '😀', c: '\\u0000\\ud800' }))).toBe(
      '{"b":"😀","c":"\\\\u0000\\\\ud800"}',
    );
    expect(json({ nested: { 'awa:x': 1 }, awa: 2 })).toBe('{"nested":{"awa:x":1},"awa":2}');
  });

  it.each([
    [null, /plain object/],
    [new Map(), /plain object/],
    ['text', /plain object/],
    [{ 'awa:trace': 1 }, /"awa:trace" is reserved/],
    [{ a: { b: 'x\0' } }, /at a\.b: contains NUL/],
    [{ 'x\0': 1 }, /contains NUL/],
    [{ a: ['ok', '\ud800'] }, /at a\[1\]: contains a lone surrogate/],
    [{ a: Number.NaN }, /at a: JSON would turn NaN/],
    [{ a: 5n }, /at a: JSON has no bigint/],
    [{ a: 'x'.repeat(64 * 1024) }, /at most 65536 bytes/],
    [{ a: '漢'.repeat(30_000) }, /at most 65536 bytes as JSON, not 90008/],
    [{ toJSON: () => 5 }, /toJSON must return an object/],
  ])('may not be %o', (metadata, message) => {
    const problems = problemsOf({ metadata });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(message);
  });

  it('has a limit that can be configured, and is inclusive', () => {
    const options = { metadata: { a: 'xxx' } };
    expect(resolveEnqueueOptions(definition, options, { maxMetadataBytes: 11 }).metadataJson).toBe(
      '{"a":"xxx"}',
    );
    expect(() => resolveEnqueueOptions(definition, options, { maxMetadataBytes: 10 })).toThrow(
      /at most 10 bytes/,
    );
  });
});

describe('connection of an enqueue', () => {
  it('is the one that was given', () => {
    expect(resolveEnqueueOptions(definition, { manager }).connection).toEqual({ type: 'manager', manager });
    expect(resolveEnqueueOptions(definition, { queryRunner }).connection).toEqual({
      type: 'queryRunner',
      queryRunner,
    });
    expect(resolveEnqueueOptions(definition, { client: connection }).connection).toEqual({
      type: 'client',
      client: connection,
    });
  });

  it('is one at most, and able to run queries', () => {
    expect(problemsOf({ manager, client: connection })).toEqual([
      'pass at most one of manager, queryRunner and client',
    ]);
    expect(problemsOf({ manager: null })).toHaveLength(1);
    expect(problemsOf({ client: 'postgres://' })).toHaveLength(1);
  });

  it('takes the clients of pg', () => {
    expectTypeOf<ClientBase>().toExtend<PgClientLike>();
    expectTypeOf<Pool>().toExtend<PgClientLike>();
    expect(connection).toBeDefined();
  });
});
