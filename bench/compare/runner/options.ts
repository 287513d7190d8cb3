import { parseArgs } from 'node:util';
import { createShapes, type Shape } from './shapes.js';
import { SYSTEM_NAMES } from './systems.js';

export interface Options {
  readonly shapes: readonly Shape[];
  /** What was asked for by name, whatever a shape's default is. */
  readonly systems: readonly string[] | undefined;
  readonly quick: boolean;
  readonly repeat: number;
  /** Results are kept, and not only looked at. */
  readonly save: boolean;
}

export const USAGE = `npm run bench [-- options]

  --quick                short runs: to see that it works, not to quote
  --only SHAPE,…         ${createShapes(false)
    .map(({ name }) => name)
    .join(', ')}
  --systems SYSTEM,…     ${SYSTEM_NAMES.join(', ')}
  --repeat N             everything N times; medians are reported
  --save                 write a part's results to bench/results too, not to bench/results/partial
`;

/** @throws Error with every name that does not exist */
export function readOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      systems: { type: 'string' },
      repeat: { type: 'string', default: '1' },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';

  const all = createShapes(values.quick);
  const only = namesOf(values.only);
  const systems = namesOf(values.systems);
  const unknown = [
    ...(only ?? []).filter((name) => !all.some((shape) => shape.name === name)),
    ...(systems ?? []).filter((name) => !SYSTEM_NAMES.includes(name)),
  ];
  const repeat = Number(values.repeat);
  if (unknown.length > 0) throw new Error(`No such shape or system: ${unknown.join(', ')}`);
  if (!Number.isInteger(repeat) || repeat < 1) throw new Error('--repeat takes a whole number from 1 on');

  const isPart = values.quick || only !== undefined || systems !== undefined;
  return {
    shapes: only === undefined ? all : all.filter(({ name }) => only.includes(name)),
    systems,
    quick: values.quick,
    repeat,
    save: values.save || !isPart,
  };
}

function namesOf(list: string | undefined): readonly string[] | undefined {
  return list
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
