/** Lays several problems out below a headline, one a line, so that a log shows them all. */
export function problemList(headline: string, problems: readonly string[]): string {
  return [headline, ...problems.map((problem) => `  - ${problem}`)].join('\n');
}
