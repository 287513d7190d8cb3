/** @throws Error with both, when they differ as JSON. */
export function expectSame(what: string, actual: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(actual) ?? 'nothing', JSON.stringify(expected) ?? 'nothing'];
  if (left !== right) throw new Error(`${what}: the model has ${right}, the engine ${left}`);
}
