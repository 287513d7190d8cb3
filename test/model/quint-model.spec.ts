import { expect, test } from 'vitest';
import { compareWithQuint } from './compare-with-quint.js';
import { loadModels, specFile } from './models.js';
import { checkSpec } from './quint/front-end.js';
import { instanceToSimulate, Simulator } from './quint/simulator.js';
import { QuintModel } from './quint-model.js';

test("each operator of the language gives what Quint's evaluator gives", async () => {
  const file = specFile('operators');
  const names = (await checkSpec(file)).modules[0]!.declarations.flatMap((each) =>
    each.kind === 'def' && each.qualifier === 'val' ? [each.name] : [],
  );
  expect(names.length).toBeGreaterThan(25);
  const bounds = { DEFECT: 'none' };
  const spec = await checkSpec(file, instanceToSimulate('operators', bounds, names));
  const model = new QuintModel(spec, 'operators', bounds);
  const simulator = new Simulator(spec, 1);
  simulator.take('init');
  const [state] = model.initial();
  // Where an operator is given itself, Quint's evaluator mixes up the two calls; it is not what the explorer is to agree with.
  const [reentrant] = names.splice(names.indexOf('reentrant'), 1);
  expect(model.value(reentrant!, state!)).toEqual([9, 4]);
  const valuesOf = (value: (name: string) => unknown): unknown =>
    Object.fromEntries(names.map((name) => [name, value(name)]));

  expect(valuesOf((name) => model.value(name, state!))).toEqual(valuesOf((name) => simulator.value(name)));
});

// The other models are compared by `npm run model`.
test.each(['tiny', 'windows'])(
  "%s: the explorer and Quint's simulator agree",
  async (name) => {
    const row = (await loadModels()).find((each) => each.name === name)!;

    const comparison = await compareWithQuint(row, { steps: 25, branchAfter: name === 'tiny' ? 0 : 6 });

    expect(comparison.steps).toBeGreaterThan(3);
    expect(comparison.successors).toBeGreaterThan(1);
  },
  120_000,
);

test('a specification that Quint rejects is an error that names the line', async () => {
  await expect(checkSpec(specFile('tiny'), '\nmodule wrong { val a = 1 + "one" }')).rejects.toThrow(
    /tiny\.qnt:\d+:\d+: QNT000 /,
  );
});

test('constants that are not given, or not there, are an error', async () => {
  const load = QuintModel.load(specFile('tiny'), 'tiny', { DEFECT: 'none', WRITER: 2 });

  await expect(load).rejects.toThrow('module tiny: WRITERS is not given, there is no constant WRITER');
});
