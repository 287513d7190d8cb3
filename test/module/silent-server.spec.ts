import { AwaModule, DatabaseUnavailableError } from 'nestjs-awa';
import { expect, it } from 'vitest';
import { until } from '../support/signals.js';
import { useTestDatabase } from '../support/test-database.js';
import { useGate } from './gate.js';
import { useNestApps } from './nest-apps.js';

const gate = useGate(useTestDatabase());
const apps = useNestApps();

it('boot gives up on a server that takes connections and never answers, and closes them', async () => {
  gate.state = 'silent';
  const start = apps.start({ imports: [AwaModule.forRoot({ url: gate.url, connectRetryMs: 0 })] });
  await expect(start).rejects.toBeInstanceOf(DatabaseUnavailableError);
  expect(gate.visits).toBe(1);
  await until(async () => gate.visitors === 0, { what: 'the connection being closed' });
});
