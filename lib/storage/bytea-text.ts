/** Bytes, given in hexadecimal, as a parameter: the text form of bytea, which no driver has to know. */
export function byteaText(hex: string): string {
  return `\\x${hex}`;
}
