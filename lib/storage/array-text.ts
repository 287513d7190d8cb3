/**
 * A column of a statement's input as the text of a Postgres array, which no driver has to know. pg would quote and escape each element
 * of an array with two regular expressions; of what most calls have here, numbers, ids, and one value many times over, none has to be.
 */
export function arrayText<Item>(
  items: readonly Item[],
  valueOf: (item: Item, index: number) => string | number | null | undefined,
): string {
  let text = '';
  let last: string | number | null | undefined;
  let element = 'NULL';
  for (let index = 0; index < items.length; index++) {
    const value = valueOf(items[index] as Item, index);
    if (value !== last) {
      last = value;
      element = elementText(value);
    }
    text += index === 0 ? element : `,${element}`;
  }
  return `{${text}}`;
}

const SPECIAL = /["\\]/;

function elementText(value: string | number | null | undefined): string {
  if (typeof value === 'number') return String(value);
  if (value === null || value === undefined) return 'NULL';
  if (!SPECIAL.test(value)) return `"${value}"`;
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
