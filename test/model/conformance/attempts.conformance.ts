import { Ground } from '../../chaos/ground.js';
import type { Conformance } from '../models.js';
import { LARGE } from '../specs/attempts.bounds.js';
import { replayAttempts } from './attempts.replay.js';

/** On a cluster of its own. */
export const conformance: Conformance = async ({ short }) => {
  const ground = await Ground.prepare({ binDir: process.env['TEST_POSTGRES_BIN'] });
  try {
    const database = await ground.createDatabase('attempts');
    return await replayAttempts(
      database,
      LARGE,
      short ? { walks: 20, steps: 120 } : { walks: 200, steps: 150 },
    );
  } finally {
    await ground.stop();
  }
};
