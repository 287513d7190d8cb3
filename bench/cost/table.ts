/** What one measurement found. NaN: there is no such figure. */
export interface Table {
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly [string, ...number[]])[];
}

export function renderTable({ name, columns, rows }: Table): string {
  const lines = [
    columns,
    columns.map((_, index) => (index === 0 ? '---' : '---:')),
    ...rows.map(([first, ...figures]) => [first, ...figures.map(format)]),
  ].map((cells) => `| ${cells.join(' | ')} |`);
  return [`## ${name}`, '', ...lines, ''].join('\n');
}

function format(value: number): string {
  if (Number.isNaN(value)) return '';
  return value < 100 ? value.toFixed(2) : Math.round(value).toLocaleString('en');
}
