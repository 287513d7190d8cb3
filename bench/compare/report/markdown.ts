import type { Figures, Results } from '../runner/results.js';
import { formatMs, formatNumber } from './number.js';
import { ratioToGraphile, type Row, type Section } from './summary.js';

interface Column {
  readonly title: string;
  readonly value: (figures: Figures) => number | undefined;
  readonly format?: (value: number) => string;
}

const COLUMNS: readonly Column[] = [
  { title: 'jobs/s', value: ({ rateMedian }) => rateMedian },
  { title: 'mean', value: ({ rateMean }) => rateMean },
  { title: 'pickup p50 ms', value: ({ pickupMs }) => pickupMs?.p50, format: formatMs },
  { title: 'p95', value: ({ pickupMs }) => pickupMs?.p95, format: formatMs },
  { title: 'p99', value: ({ pickupMs }) => pickupMs?.p99, format: formatMs },
  { title: 'backlog', value: ({ backlogMedian }) => backlogMedian },
  { title: 'preload jobs/s', value: ({ preloadRate }) => preloadRate },
  { title: 'clean jobs/s', value: ({ cleanRate }) => cleanRate },
  { title: 'last jobs/s', value: ({ lastRate }) => lastRate },
  { title: 'last / clean', value: ({ pinnedRatio }) => pinnedRatio, format: (v) => formatNumber(v, 2) },
  { title: 'adapter CPU µs', value: ({ adapterCpuUs }) => adapterCpuUs },
  { title: 'Postgres CPU µs', value: ({ postgresCpuUs }) => postgresCpuUs },
  { title: 'Redis CPU µs', value: ({ redisCpuUs }) => redisCpuUs },
  { title: 'WAL B', value: ({ walBytes }) => walBytes },
  { title: 'commits', value: ({ commits }) => commits, format: (v) => formatNumber(v, v < 1 ? 3 : 2) },
  { title: 'dead tuples', value: ({ deadTuples }) => deadTuples },
  { title: 'RSS MB', value: ({ rssPeakMb }) => rssPeakMb },
  { title: 'conns', value: ({ connections }) => connections },
];

/** @param plots file names of the plots beside it */
export function renderMarkdown(
  results: Results,
  sections: readonly Section[],
  plots: readonly string[],
): string {
  return `${[
    `# Comparison of ${results.startedAt.slice(0, 16).replace('T', ' ')} UTC`,
    results.quick ? '**Short runs, to see that it works. Not to be quoted.**' : '',
    results.interrupted ? '**Interrupted: a part of the runs is missing.**' : '',
    describeSetting(results),
    'Per job means per completed job of the measured time. Pickup is from the call that enqueues to the start of the handler. Dead tuples are those after the run, as the statistics have them. RSS is the highest sum over all adapter processes, conns the median. What is unfair in it: bench/compare/README.md.',
    ...plots.map((file) => `![](${file})`),
    ...sections.map(renderSection),
    renderSystems(sections),
    ...results.skipped.map(({ name, reason }) => `${name} did not take part: ${reason}.`),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`;
}

function describeSetting({ machine, versions, postgresSettings, redisSettings, repeat }: Results): string {
  const pairs = (settings: Readonly<Record<string, string>>) =>
    Object.entries(settings)
      .map(([name, value]) => `${name} ${value === '' ? "''" : value}`)
      .join(', ');
  return [
    `- Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.os}`,
    `- Versions: ${pairs(versions)}`,
    `- Postgres: ${pairs(postgresSettings)}`,
    `- Redis: ${pairs(redisSettings)}`,
    `- Every figure is the median of ${repeat} ${repeat === 1 ? 'run' : 'runs'}`,
  ].join('\n');
}

function renderSection(section: Section): string {
  const { shape, rows, failed } = section;
  const columns = COLUMNS.filter(({ value }) => rows.some(({ figures }) => value(figures) !== undefined));
  const time = shape.untilDrained
    ? 'all of it measured'
    : `${shape.warmUpS} s of warm-up, ${shape.cleanS === 0 ? '' : `${shape.cleanS} s without the transaction, `}${shape.measureS} s`;
  const ratio = (row: Row) => {
    const value = ratioToGraphile(section, row);
    return value === undefined ? '' : formatNumber(value, 2);
  };
  const table = [
    ['system', '× graphile', ...columns.map(({ title }) => title)],
    ['---', ...['', ...columns].map(() => '---:')],
    ...rows.map((row) => [
      row.system,
      ratio(row),
      ...columns.map(({ value, format = formatNumber }) => cell(value(row.figures), format)),
    ]),
  ];
  return [
    `## ${shape.name}: ${shape.title}`,
    `${time}.`,
    rows.length === 0 ? '' : table.map((cells) => `| ${cells.join(' | ')} |`).join('\n'),
    describeDead(rows),
    ...rows.flatMap(({ system, runs }) =>
      runs.flatMap(({ warnings }) => warnings.map((warning) => `${system}: ${warning}.`)),
    ),
    ...failed.map(
      ({ system, error, stderr }) =>
        `**${system} failed**: ${error}\n\n\`\`\`text\n${(stderr ?? []).join('\n')}\n\`\`\``,
    ),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function cell(value: number | undefined, format: (value: number) => string): string {
  return value === undefined || Number.isNaN(value) ? '' : format(value);
}

/** Where they are says more than how many: an append-only table must have none. */
function describeDead(rows: readonly Row[]): string {
  const lines = rows.flatMap(({ system, runs }) => {
    const tables = Object.entries(runs.at(-1)?.deadTuplesByTable ?? {}).slice(0, 6);
    if (tables.length === 0) return [];
    return [`- ${system}: ${tables.map(([table, dead]) => `${table} ${formatNumber(dead)}`).join(', ')}`];
  });
  return lines.length === 0 ? '' : ['Dead tuples by table:', '', ...lines].join('\n');
}

function renderSystems(sections: readonly Section[]): string {
  const lines = new Map<string, string>();
  for (const { system, runs } of sections.flatMap(({ rows }) => rows)) {
    const descriptor = runs[0]?.descriptor;
    if (descriptor === undefined || lines.has(system)) continue;
    const { version, runtime, settings } = descriptor;
    lines.set(system, `- ${system}: ${version} on ${runtime}, \`${JSON.stringify(settings)}\``);
  }
  return lines.size === 0 ? '' : ['## Systems', '', ...lines.values()].join('\n');
}
