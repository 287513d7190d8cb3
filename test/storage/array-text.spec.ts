import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrayText } from '../../lib/storage/array-text.js';
import { useTestDatabase } from '../support/test-database.js';

const database = useTestDatabase();

describe('an array as text', () => {
  const text = fc
    .oneof(
      fc.constantFrom('', 'NULL', '{}', ',', '"', '\\', '\\"', '{"a":"b\\\\"}', ' a ', '\n'),
      fc.string({ unit: 'grapheme' }),
    )
    .map((value) => value.replaceAll('\0', ''));
  const number = fc.oneof(fc.integer(), fc.double({ noNaN: true }));

  it('is read by Postgres as what it was', async () => {
    const client = await database.client();
    const nullable = <Value>(value: fc.Arbitrary<Value>) => fc.array(fc.option(value), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(nullable(text), nullable(number), async (texts, numbers) => {
        const { rows } = await client.query<{ texts: unknown[]; numbers: unknown[] }>(
          'SELECT $1::text[] AS texts, $2::float8[] AS numbers',
          [arrayText(texts, (value) => value), arrayText(numbers, (value) => value)],
        );
        // JSON knows one zero.
        expect(JSON.stringify(rows)).toBe(JSON.stringify([{ texts, numbers }]));
      }),
      { numRuns: 300 },
    );
  });

  it('holds one value many times, and what comes behind it', () => {
    expect(arrayText(['a', 'a', null, undefined, 'a'], (value) => value)).toBe('{"a","a",NULL,NULL,"a"}');
    expect(arrayText([7, 7, 8], (value, index) => value + index)).toBe('{7,8,10}');
    expect(arrayText([], () => 1)).toBe('{}');
  });
});
