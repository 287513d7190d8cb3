import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { defineJob, type JobDefinition, type JsonValue } from 'nestjs-awa';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeError, parsePayload } from '../../lib/jobs/index.js';
import { settleAttempts } from '../../lib/storage/operations/close-attempts.js';
import { saveAttemptStates } from '../../lib/storage/operations/save-attempt-states.js';
import type { SqlPort } from '../../lib/storage/sql-port.js';
import { checkpointJson } from '../../lib/worker/attempt-state.rules.js';
import { deferred } from '../support/signals.js';
import { claimJobs, openPort, registerTestInstance, SCHEMA } from '../support/storage-fixture.js';
import { handlerOf, type TestApp, useTestApps } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';
import { anyJson, anyNestedJson, anyText, anyWithNul } from './payload.arbitraries.js';
import { RUNS, SEED } from './settings.js';

const Anything: JobDefinition = defineJob<unknown>('anything');

const database = useTestDatabase();
const apps = useTestApps(database);

/** Values of one run: they travel together, so that a run costs little more than one of them would. */
const batchOf = <Item>(item: fc.Arbitrary<Item>) =>
  fc.array(item, { minLength: 1, maxLength: 20, size: 'max' });

const parameters = (runs: number) => ({ numRuns: RUNS ?? runs, seed: SEED });

const insert = async (text: string): Promise<string> => {
  const { rows } = await database.query<{ id: string }>(
    "SELECT job_id::text AS id FROM awa.insert_job('anything', $1::json)",
    [text],
  );
  return rows[0]!.id;
};

async function jobsWritten(): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM awa.ready_entries',
  );
  return rows[0]!.count;
}

/** What the handlers of an application got, by the id of the job. */
async function startCollector(): Promise<TestApp & { get(ids: readonly string[]): Promise<unknown[]> }> {
  const got = new Map<string, unknown>();
  let arrived = deferred();
  const app = await apps.start({
    handlers: [
      handlerOf(Anything, ({ id, args }) => {
        got.set(id, args);
        arrived.resolve();
      }),
    ],
  });
  return {
    ...app,
    get: async (ids) => {
      while (!ids.every((id) => got.has(id))) {
        await arrived.promise;
        arrived = deferred();
      }
      return ids.map((id) => got.get(id));
    },
  };
}

describe('arguments', () => {
  it('come to the handler as JSON has them, from TypeScript and from SQL', { timeout: 600_000 }, async () => {
    const app = await startCollector();
    await fc.assert(
      fc.asyncProperty(batchOf(anyNestedJson(true, 900)), fc.nat(), async (values, number) => {
        const texts = values.map((value) => JSON.stringify(value));
        const many = await app.queue.enqueueMany(Anything, values);
        const alone = number % values.length;
        const one = await app.queue.enqueue(Anything, values[alone]);
        const bySql = await insert(texts[alone]!);
        const got = await app.get([...many.map(({ id }) => id), one.id, bySql]);
        // The text tells everything that JSON can: the order of keys too, and own properties called __proto__.
        expect(got.map((args) => JSON.stringify(args))).toEqual([...texts, texts[alone], texts[alone]]);
        assert.deepStrictEqual(got.slice(0, values.length), values.map(throughJson));
      }),
      parameters(40),
    );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it('are refused with a NUL in them, and nothing is written: alone, among others, and by SQL', async () => {
    const { queue } = await apps.start({ worker: false });
    await fc.assert(
      fc.asyncProperty(anyWithNul, anyJson(true), async (value, good) => {
        const before = await jobsWritten();
        const refusal = expect.objectContaining({ code: 'AWA_INVALID_ARGS' });
        await expect(queue.enqueue(Anything, value)).rejects.toEqual(refusal);
        await expect(queue.enqueueMany(Anything, [good, value, good])).rejects.toEqual(refusal);
        await expect(insert(JSON.stringify(value))).rejects.toMatchObject({ code: 'AW010' });
        expect(await jobsWritten()).toBe(before);
      }),
      parameters(40),
    );
  });

  it(
    'are taken up to the limit in bytes, and not beyond: the same by SQL',
    { timeout: 600_000 },
    async () => {
      const { queue } = await apps.start({ worker: false });
      const MAX = 1024 * 1024;
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('a', 'é', '漢', '🚀', '\n', '"'),
          fc.integer({ min: -2, max: 2 }),
          async (unit, over) => {
            const unitBytes = Buffer.byteLength(JSON.stringify(unit)) - 2;
            const rest = (MAX + over - 2) % unitBytes;
            const value = unit.repeat((MAX + over - 2 - rest) / unitBytes) + 'x'.repeat(rest);
            expect(Buffer.byteLength(JSON.stringify(value))).toBe(MAX + over);
            const answers = await Promise.allSettled([
              queue.enqueue(Anything, value),
              insert(JSON.stringify(value)),
            ]);
            expect(answers.map(({ status }) => status)).toEqual(
              Array(2).fill(over > 0 ? 'rejected' : 'fulfilled'),
            );
          },
        ),
        parameters(10),
      );
    },
  );
});

describe('what jsonb holds', () => {
  let port: SqlPort;
  let instanceId: string;

  beforeAll(async () => {
    port = await openPort(database);
    instanceId = await registerTestInstance(port);
  });

  const claim = () => claimJobs(port, SCHEMA, instanceId, [{ queue: 'default', limit: 100 }]);

  const anyMetadata = fc.dictionary(
    anyText(false).filter((key) => !key.startsWith('awa:')),
    anyJson(false),
    { maxKeys: 4 },
  );

  it(
    'metadata and checkpoints come back as they were, and errors to the letter',
    { timeout: 600_000 },
    async () => {
      const { queue } = await apps.start({ worker: false });
      await fc.assert(
        fc.asyncProperty(
          batchOf(
            fc.record({
              checkpoint: anyNestedJson(false, 900),
              metadata: anyMetadata,
              message: fc.string({ unit: 'binary' }),
            }),
          ),
          async (items) => {
            await database.query('DELETE FROM awa.ready_entries');
            const ids: string[] = [];
            for (const { metadata } of items)
              ids.push(
                (await queue.enqueue(Anything, null, { metadata: metadata as Record<string, JsonValue> })).id,
              );
            const jobs = await claim();
            expect(jobs.map(({ jobId }) => jobId)).toEqual(ids);
            const changes = jobs.map((job, index) => ({
              job,
              revision: 1,
              progress: undefined,
              checkpointJson: checkpointJson(items[index]!.checkpoint),
            }));
            expect(await saveAttemptStates(port, SCHEMA, changes)).toEqual(jobs.map(() => 'saved'));
            const errors = items.map(({ message }) => describeError(new Error(message)));
            const settlements = jobs.map(
              (job, index) => ({ job, outcome: 'released', error: errors[index], delayMs: 0 }) as const,
            );
            expect(await settleAttempts(port, SCHEMA, settlements)).toEqual(jobs.map(() => 'available'));

            const again = (await claim()).map(({ payloadJson }) => parsePayload(payloadJson));
            for (const [index, { metadata, checkpoint }] of items.entries()) {
              const payload = again[index]!;
              assert.deepStrictEqual(payload.checkpoint, throughJson(checkpoint));
              assert.deepStrictEqual(payload.metadata, throughJson(metadata));
              expect(payload.errors.map(({ error }) => error)).toEqual([errors[index]]);
            }
          },
        ),
        parameters(20),
      );
    },
  );

  it('has neither NUL nor lone surrogates: they are refused before a statement runs', async () => {
    const { queue } = await apps.start({ worker: false });
    const half = fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit));
    const bad = fc.oneof(
      anyWithNul,
      fc
        .tuple(anyJson(false), half, fc.boolean())
        .map(([value, text, inKey]) => (inKey ? { [text]: value } : [value, text])),
    );
    await fc.assert(
      fc.asyncProperty(bad, async (value) => {
        const before = await jobsWritten();
        const refusal = expect.objectContaining({ code: 'AWA_INVALID_OPTIONS' });
        const metadata = { value } as Record<string, JsonValue>;
        await expect(queue.enqueue(Anything, null, { metadata })).rejects.toEqual(refusal);
        expect(() => checkpointJson(value)).toThrow(refusal);
        expect(await jobsWritten()).toBe(before);
      }),
      parameters(100),
    );
  });
});

/** What JSON makes of a value: -0 is 0. Compared by node:assert, since vitest takes a property `constructor` for the class. */
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
