/** How many sequences, or payloads, a property tries: PROPERTY_RUNS. In the suite a few, always the same ones. */
export const RUNS = numberOf('PROPERTY_RUNS');

/** What they are made from: PROPERTY_SEED, and otherwise in the suite 5, in longer runs the time. A failure prints it. */
export const SEED = numberOf('PROPERTY_SEED') ?? (RUNS === undefined ? 5 : Date.now() % 2 ** 31);

function numberOf(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new Error(`${name} must be a whole number, not "${text}"`);
  return number;
}
