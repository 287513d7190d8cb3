import { type BenchSession, median } from './bench-session.js';

const SAMPLES = 20;

/** Does a claim of 500 cost the same with a million jobs waiting as with a thousand? */
export async function claimCost(session: BenchSession): Promise<void> {
  const few: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    await session.enqueue(1_000);
    few.push(await timeOfClaim(session));
    await empty(session);
  }
  await session.enqueue(1_000_000);
  await session.client.query('CHECKPOINT');
  const many: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) many.push(await timeOfClaim(session));
  console.log(
    `claim of 500: ${median(few).toFixed(2)} ms with 1,000 waiting, ${median(many).toFixed(2)} ms with 1,000,000 waiting, ` +
      `ratio ${(median(many) / median(few)).toFixed(2)} (medians of ${SAMPLES})`,
  );
  await empty(session);
}

async function timeOfClaim(session: BenchSession): Promise<number> {
  const start = performance.now();
  const jobs = await session.claim(500);
  const elapsed = performance.now() - start;
  if (jobs.length !== 500) throw new Error(`claimed ${jobs.length} jobs instead of 500`);
  return elapsed;
}

async function empty(session: BenchSession): Promise<void> {
  while ((await session.claim(512)).length > 0);
}
