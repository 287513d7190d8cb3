import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Results } from '../runner/results.js';
import { ROOT } from '../runner/root.js';
import { renderMarkdown } from './markdown.js';
import { renderPlots } from './plots.js';
import { summarise } from './summary.js';

/**
 * Writes everything that was measured, the tables and the plots.
 * @param isKept false: to a place that git ignores, named by the minute, so that nothing worth keeping is overwritten
 * @returns the files
 */
export function writeResults(results: Results, isKept: boolean): readonly string[] {
  const folder = join(ROOT, 'bench/results', isKept ? '' : 'partial');
  mkdirSync(folder, { recursive: true });
  const moment = isKept ? results.startedAt.slice(0, 10) : results.startedAt.slice(0, 16).replace(':', '');
  const name = `${moment}-node${process.versions.node.split('.')[0]}`;

  const sections = summarise(results);
  const plots = Object.entries(renderPlots(sections)).map(([plot, content]) => ({
    file: `${name}-${plot}.svg`,
    content,
  }));
  const markdown = renderMarkdown(
    results,
    sections,
    plots.map(({ file }) => file),
  );
  return [
    { file: `${name}.json`, content: `${JSON.stringify(results, null, 2)}\n` },
    { file: `${name}.md`, content: markdown },
    ...plots,
  ].map(({ file, content }) => {
    writeFileSync(join(folder, file), content);
    return join(folder, file);
  });
}
