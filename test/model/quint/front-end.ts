import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { analyzeModules, fileSourceResolver, newIdGenerator, parse } from '@informalsystems/quint';
import type {
  QuintEx,
  QuintError,
  QuintLambda,
  QuintModule,
  QuintOpDef,
  SourceMap,
} from '@informalsystems/quint';
import type { LookupDefinition, LookupTable } from '@informalsystems/quint/dist/src/names/base.js';

export type { LookupDefinition, LookupTable, QuintEx, QuintLambda, QuintOpDef };

/** A specification that Quint has parsed, resolved and checked: names, types and effects. */
export interface CheckedSpec {
  readonly modules: readonly QuintModule[];
  readonly table: LookupTable;
}

/** @throws with every problem and its line, if there is one */
export async function checkSpec(file: string, more = ''): Promise<CheckedSpec> {
  const path = resolve(file);
  const source = (await readFile(path, 'utf8')) + more;
  const sources = new Map([[path, source]]);
  const resolver = fileSourceResolver(sources);
  const parsed = parse(
    newIdGenerator(),
    path,
    resolver.lookupPath(dirname(path), basename(path)),
    source,
    sources,
  );
  report(parsed.errors, parsed.sourceMap);
  const [errors] = analyzeModules(parsed.table, parsed.modules);
  report(errors, parsed.sourceMap);
  return parsed;
}

function report(errors: readonly QuintError[], sourceMap: SourceMap): void {
  if (errors.length === 0) return;
  const lines = errors.map((error) => {
    const at = error.reference === undefined ? undefined : sourceMap.get(error.reference);
    const place = at === undefined ? '' : `${at.source}:${at.start.line + 1}:${at.start.col + 1}: `;
    return `${place}${error.code} ${error.message}`;
  });
  throw new Error(lines.join('\n'));
}
