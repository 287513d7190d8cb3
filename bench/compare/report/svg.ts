/** The few elements that a plot is made of. Colours come from classes, so that one file serves light and dark pages. */

/*
 * The background is part of the plot: a page may be dark for a browser that says it is light. Every colour has a contrast of more
 * than 3 to its background, every text of more than 4.5.
 */
const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.panel { font-weight: 600; }
.muted { fill: #59636e; font-size: 12px; }
.page { fill: #ffffff; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.fill-own, .fill-0 { fill: #0b6bcb; }
.fill-peer, .fill-1 { fill: #818b98; }
.fill-2 { fill: #c4501b; }
.line { fill: none; stroke-width: 2.5; }
.line-0 { stroke: #0b6bcb; } .line-1 { stroke: #c4501b; } .line-2 { stroke: #2b8a3e; }
.line-3 { stroke: #9c36b5; } .line-4 { stroke: #866100; } .line-5 { stroke: #818b98; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .muted { fill: #9aa5b1; }
  .page { fill: #0d1117; }
  .grid { stroke: #30363d; }
  .fill-own, .fill-0 { fill: #4aa3ff; }
  .fill-peer, .fill-1 { fill: #7d8793; }
  .fill-2 { fill: #ff8a57; }
  .line-0 { stroke: #4aa3ff; } .line-1 { stroke: #ff8a57; } .line-2 { stroke: #51cf66; }
  .line-3 { stroke: #da77f2; } .line-4 { stroke: #e3b341; } .line-5 { stroke: #9aa5b1; }
}`;

export const LINE_COLOURS = 6;

export function svg(width: number, height: number, title: string, content: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="100%" height="100%"/>`,
    text(20, 30, title, 'title'),
    ...content,
    '</svg>',
    '',
  ].join('\n');
}

export function text(
  x: number,
  y: number,
  content: string,
  className = '',
  anchor: 'start' | 'middle' | 'end' = 'start',
): string {
  return `<text x="${round(x)}" y="${round(y)}" class="${className}" text-anchor="${anchor}">${escape(content)}</text>`;
}

export function bar(x: number, y: number, width: number, height: number, className: string): string {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(Math.max(1, width))}" height="${round(height)}" class="${className}"/>`;
}

export function gridLine(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" class="grid"/>`;
}

export function polyline(points: readonly (readonly [x: number, y: number])[], colour: number): string {
  const list = points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ');
  return `<polyline points="${list}" class="line line-${colour}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
