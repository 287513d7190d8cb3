/** One line of the contract. Stdout is for these alone: whatever else is to be said goes to stderr. */
export function writeLine(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export function log(message: string): void {
  process.stderr.write(`${message}\n`);
}
