import type { JobState, QueueService } from 'nestjs-awa';

/** The numbers of a queue's jobs, which have to be exact. */
export async function jobCounts(queue: QueueService, name: string): Promise<Record<JobState, number>> {
  const counts = Object.entries(await queue.countJobs(name));
  for (const [state, { exact }] of counts) if (!exact) throw new Error(`${state} is an estimate`);
  return Object.fromEntries(counts.map(([state, { count }]) => [state, count])) as Record<JobState, number>;
}
