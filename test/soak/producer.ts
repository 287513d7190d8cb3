import type { QueueService } from 'nestjs-awa';
import { Client } from 'pg';
import type { History } from './history.js';
import { MortalJob, SoakJob, type SoakPlan, UniqueJob } from './soak.job.js';

const chance = (share: number) => Math.random() < share;
const PAD = 'x'.repeat(200);
const KEYS = 5_000;

function randomPlan(): SoakPlan {
  const plan: SoakPlan['plan'][number][] = [];
  while (plan.length < 9 && chance(0.15)) plan.push(chance(0.7) ? 'error' : 'snooze');
  return { plan, ending: chance(0.02) ? 'fail' : chance(0.02) ? 'cancel' : 'complete', pad: PAD };
}

/** As many as that in the mean. */
const several = <Item>(count: number, make: () => Item): Item[] =>
  Array.from({ length: Math.floor(count + Math.random()) }, make);

const randomKey = () => `key ${Math.floor(Math.random() * KEYS)}`;

/** Dies once, at one of its attempts. */
function mortalPlan(): SoakPlan {
  const { plan, pad } = randomPlan();
  const steps: SoakPlan['plan'] = ['die', ...plan];
  return { plan: steps.toSorted(() => Math.random() - 0.5), ending: 'complete', pad };
}

/** Enqueues at a rate, in transactions of all kinds: committed, rolled back, with a delay, cancelled before it is due. */
export class Producer {
  private readonly client: Client;
  private stopping = false;

  constructor(
    url: string,
    private readonly queue: QueueService,
    private readonly history: History,
    /** Jobs a second. */
    private readonly rate: number,
  ) {
    this.client = new Client({ connectionString: url });
  }

  stop(): void {
    this.stopping = true;
  }

  async run(): Promise<void> {
    await this.client.connect();
    const begin = performance.now();
    for (let offered = 0; !this.stopping;) {
      const due = ((performance.now() - begin) / 1_000) * this.rate - offered;
      if (due < 1) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        continue;
      }
      const count = Math.min(Math.ceil(due), 200);
      await this.transaction(count);
      offered += count;
    }
    await this.client.end();
  }

  private async transaction(count: number): Promise<void> {
    const plans = several(count * 0.7, randomPlan);
    const uniquePlans = several(count * 0.28, () => ({ ...randomPlan(), key: randomKey() }));
    const mortalPlans = several(count * 0.02, mortalPlan);
    const options = {
      client: this.client,
      priority: chance(0.2) ? (1 as const) : (2 as const),
      ...(chance(0.05) ? { delay: 500 } : {}),
    };
    await this.client.query('BEGIN');
    const jobs = [
      await this.queue.enqueueMany(SoakJob, plans, options),
      await this.queue.enqueueMany(MortalJob, mortalPlans, options),
      // Last: whoever wants one of its keys waits for the end of the transaction.
      await this.queue.enqueueMany(UniqueJob, uniquePlans, options),
    ].flat();
    const commit = !chance(0.05);
    await this.client.query(commit ? 'COMMIT' : 'ROLLBACK');
    if (!commit) return;
    const made = jobs.filter(({ deduplicated }) => !deduplicated);
    this.history.deduplicated += jobs.length - made.length;
    this.history.commit(made.map(({ id }) => id));
    if (chance(0.1)) await this.cancelOne(options.priority);
  }

  /** A job that is due in an hour, and cancelled: it must never run. */
  private async cancelOne(priority: 1 | 2): Promise<void> {
    const args: SoakPlan = { plan: [], ending: 'complete', pad: '' };
    const { id } = await this.queue.enqueue(SoakJob, args, { priority, delay: 3_600_000 });
    const { result } = await this.queue.cancelJob(id);
    if (result !== 'cancelled') this.history.problems.push(`job ${id} could not be cancelled: ${result}`);
  }
}
