import type { QueueSystem, SystemOptions } from './queue-system.js';

type MakeSystem = (options: SystemOptions) => QueueSystem;

/** Systems by name. Each is loaded only by the process that runs it, so that none pays for another's memory. */
const SYSTEMS: Readonly<Record<string, () => Promise<MakeSystem>>> = {
  awa: async () => {
    const { AwaSystem } = await import('./awa.js');
    return (options) => new AwaSystem(options);
  },
  'pg-boss': async () => {
    const { PgBossSystem } = await import('./pg-boss.js');
    return (options) => new PgBossSystem(options, pgBossBatchSize(options.environment.tuning));
  },
  'pg-boss-400': async () => {
    const { PgBossSystem } = await import('./pg-boss.js');
    return (options) => new PgBossSystem(options, 400);
  },
  graphile: async () => {
    const { GraphileSystem } = await import('./graphile.js');
    return (options) => new GraphileSystem(options);
  },
  'bullmq-redis': async () => {
    const { bullmqOnRedis } = await import('./bullmq.js');
    return bullmqOnRedis;
  },
  'bullmq-pg': async () => {
    const { bullmqOnPostgres } = await import('./bullmq.js');
    return bullmqOnPostgres;
  },
};

/** The variant of the settings is the size of the batches. */
function pgBossBatchSize(tuning = 'default'): number {
  return tuning === 'default' ? 64 : Number(tuning);
}

/** @throws Error listing the names that there are */
export async function loadSystem(name: string): Promise<MakeSystem> {
  const load = SYSTEMS[name];
  if (load === undefined) throw new Error(`${name} is none of ${Object.keys(SYSTEMS).join(', ')}`);
  return load();
}
