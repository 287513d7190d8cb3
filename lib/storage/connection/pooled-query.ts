import type { Client, QueryResult } from 'pg';
import { BEGIN_WITH_OWN_SETTINGS } from './session.js';

/**
 * One statement through a pooler that gives us another session for each transaction: what has to be set is set within it, and nothing
 * is prepared for longer. The three messages are queued in one go, so nothing of another caller's comes between them, and
 * on a pipelined connection they take one round trip.
 */
export async function pooledQuery(
  client: Client,
  text: string,
  values: readonly unknown[],
): Promise<QueryResult> {
  const [begun, answer, committed] = await Promise.allSettled([
    client.query(BEGIN_WITH_OWN_SETTINGS),
    client.query({ text, values: [...values] }),
    client.query('COMMIT'),
  ]);
  // The first failure is the cause of those behind it.
  for (const step of [begun, answer, committed]) if (step.status === 'rejected') throw step.reason;
  return (answer as PromiseFulfilledResult<QueryResult>).value;
}
