import { resolveDatabase } from '../../test/postgres/resolve-database.js';
import { BenchSession } from './bench-session.js';
import { claimCost } from './claim-cost.js';
import { heldTransaction } from './held-transaction.js';
import { lateCommit } from './late-commit.js';
import { readingCost } from './reading-cost.js';

const HELD_SECONDS = Number(process.env.HELD_SECONDS ?? 60);

/** Names of benches to run; all by default. */
const chosen = process.argv.slice(2);

// Everything in memory: what is measured is the work of a claim, not the disk.
const database = await resolveDatabase({ temporary: true, settings: { shared_buffers: '1GB' } });
try {
  for (const [name, measure] of Object.entries({
    claim_cost: claimCost,
    late_commit: lateCommit,
    reading_cost: readingCost,
    held_transaction: (session: BenchSession) => heldTransaction(session, HELD_SECONDS),
  })) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const session = await BenchSession.open(database.url, `awa_bench_${name}`);
    await measure(session);
    await session.client.end();
  }
} finally {
  await database.stop();
}
