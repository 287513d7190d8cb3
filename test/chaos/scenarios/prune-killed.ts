import { setTimeout as delay } from 'node:timers/promises';
import { recorderNow } from '../record.js';
import type { Scenario } from '../scenario.js';

const TERMINATE = `SELECT count(pg_terminate_backend(pid))::int AS killed FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'awa maintenance' AND state = 'active'`;

const PRUNES = `SELECT coalesce(sum(generation), 0)::int AS prunes FROM (
  SELECT max(generation) AS generation FROM awa.ring_prunes GROUP BY ring) p`;

export const pruneKilled: Scenario = {
  name: 'prune-killed',
  about: 'the process that reclaims a segment is killed as it does, and its backend with it',
  retentionMs: 3_000,
  async fault(arena, form) {
    const times = form.pick(3, 20);
    let midway = 0;
    for (let round = 0; round < times; round++) {
      midway += await arena.admin(async (admin) => {
        const asked = arena.living.map(async (worker) => {
          await worker.proxy.sent('prune_ring');
          return worker;
        });
        const worker = await Promise.race([...asked, delay(20_000, undefined)]);
        if (worker === undefined) throw new Error('nobody reclaims anything');
        await delay(round % 3);
        worker.signal('SIGKILL');
        const { rows } = await admin.query<{ killed: number }>(TERMINATE);
        await worker.kill();
        return rows[0]?.killed ?? 0;
      });
      const since = recorderNow();
      await arena.startWorker();
      await arena.succeeded(50, since);
    }
    const prunes = () =>
      arena.admin(async (admin) => (await admin.query<{ prunes: number }>(PRUNES)).rows[0]?.prunes ?? 0);
    const before = await prunes();
    for (const end = recorderNow() + 15_000; (await prunes()) <= before; await delay(100))
      if (recorderNow() > end) return void arena.problems.push('nothing was reclaimed any more');
    arena.notes.push(`${times} killed, ${midway} backends in the middle of a statement`);
  },
};
