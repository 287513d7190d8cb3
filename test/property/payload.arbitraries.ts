import * as fc from 'fast-check';

const character = fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((text) => text !== '\0');

/** Half of a pair, which UTF-8 has not got. */
const half = fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit));

const awkward = fc.constantFrom(
  '\\u0000',
  '\\',
  '"',
  '\u2028',
  '\u0001',
  '\uFEFF',
  '\uFFFF',
  '𐀀',
  '👩‍👩‍👧',
  "'; --",
  '$1',
  '{}',
);

/** Whether lone surrogates are among what a text is made of. */
export const anyText = (withHalves: boolean): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof(character, fc.string(), awkward, ...(withHalves ? [half] : [])), { maxLength: 6 })
    .map((parts) => parts.join(''));

const anyKey = (withHalves: boolean) =>
  fc.oneof(
    anyText(withHalves),
    fc.constantFrom(
      '__proto__',
      'constructor',
      'prototype',
      'toString',
      'toJSON ',
      'hasOwnProperty',
      'length',
      '',
      '0',
      '-1',
      'then',
    ),
  );

const anyNumber = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(
    -0,
    2 ** 53,
    -(2 ** 53) - 2,
    2 ** 63,
    1e21,
    -1e21,
    1.7976931348623157e308,
    5e-324,
    2.2250738585072014e-308,
    0.1 + 0.2,
  ),
);

/** Any JSON value; of objects, with keys that are dangerous as properties. */
export const anyJson = (withHalves: boolean): fc.Arbitrary<unknown> =>
  fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(null, true, false),
      anyNumber,
      anyText(withHalves),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.array(fc.tuple(anyKey(withHalves), tie('value')), { maxLength: 5 }).map(own),
    ),
  })).value;

/** An object of its own properties, be they called `__proto__`. */
const own = (entries: [string, unknown][]): unknown => Object.fromEntries(entries);

/** A value inside so many arrays and objects. */
export const nested = (value: unknown, levels: number): unknown => {
  let outer = value;
  for (let level = 0; level < levels; level++) outer = level % 2 === 0 ? [outer] : { a: outer };
  return outer;
};

export const anyNestedJson = (withHalves: boolean, maxLevels: number) =>
  fc
    .tuple(
      anyJson(withHalves),
      fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.nat({ max: maxLevels }) },
      ),
    )
    .map(([value, levels]) => nested(value, levels));

/** A value with a NUL somewhere: in a string or a key. */
export const anyWithNul: fc.Arbitrary<unknown> = fc
  .tuple(anyJson(true), anyText(true), anyText(true), fc.boolean())
  .map(([value, before, after, inKey]) => {
    const text = `${before}\0${after}`;
    return inKey ? [value, { [text]: value }] : { a: [value, text] };
  });
