const encoder = new TextEncoder();
const decoder = new TextDecoder();
const CUT = ' … (cut)';
const CUT_BYTES = encoder.encode(CUT).length;
const UNFIT = /[\0\p{Surrogate}]/u;

/**
 * Makes any string fit for a Postgres text column: at most `maxBytes` of UTF-8, without NUL, and with lone
 * surrogates replaced by U+FFFD. Text that is too long is cut between two characters and marked.
 */
export function storableText(text: string, maxBytes: number): string {
  // Most texts are fit as they are: no UTF-16 unit takes more than three bytes.
  if (text.length * 3 <= maxBytes && !UNFIT.test(text)) return text;
  // A UTF-16 unit takes at least one byte, so that what lies beyond could not fit anyway.
  const clean = text.slice(0, maxBytes + 1).replaceAll('\0', '');
  const buffer = new Uint8Array(maxBytes);
  const { read, written } = encoder.encodeInto(clean, buffer);
  if (read === clean.length && text.length <= maxBytes) return decoder.decode(buffer.subarray(0, written));
  const kept = encoder.encodeInto(clean, buffer.subarray(0, Math.max(0, maxBytes - CUT_BYTES)));
  return decoder.decode(buffer.subarray(0, kept.written)) + CUT;
}
