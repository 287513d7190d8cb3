import type { Scenario } from '../scenario.js';
import { backendStorm } from './backend-storm.js';
import { clockSkew } from './clock-skew.js';
import { connectionsUsedUp } from './connections-used-up.js';
import { claimAnswerLost, completionAnswerLost } from './lost-answers.js';
import { networkFrozen } from './network-frozen.js';
import { postgresOutage } from './postgres-outage.js';
import { postgresRestart } from './postgres-restart.js';
import { pruneKilled } from './prune-killed.js';
import { rollingRestarts } from './rolling-restarts.js';
import { standbyPromoted } from './standby-promoted.js';
import { workerKilled } from './worker-killed.js';
import { workerStopped } from './worker-stopped.js';

/** In the order of a run. */
export const SCENARIOS: readonly Scenario[] = [
  workerKilled,
  workerStopped,
  rollingRestarts,
  clockSkew,
  pruneKilled,
  backendStorm,
  claimAnswerLost,
  completionAnswerLost,
  networkFrozen,
  connectionsUsedUp,
  postgresRestart,
  postgresOutage,
  standbyPromoted,
];
