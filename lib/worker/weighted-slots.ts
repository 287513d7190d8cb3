import type { QueueLimits, QueueSlots } from './queue-slots.js';

/** The part of one queue in a common pool. */
export interface QueueShare extends QueueLimits {
  /** Slots that are always its own. */
  readonly minWorkers: number;
  /** Its part of the others, in proportion to the weights of the queues that have work. */
  readonly weight: number;
}

interface Account extends QueueShare {
  used: number;
  /** Starts outside its own slots, by weight: whose is least has had least. */
  pass: number;
}

/** Most slots shared out at a time: a claim takes no more of a queue. */
const MOST = 512;

/**
 * One pool for all queues of the process. `minWorkers` of each are its own and never lent. The rest is for whoever has work: a
 * queue alone with its work has all of it, and as slots are freed they go to those that have less than their share by weight.
 * What cannot be divided into whole slots goes round, in proportion to the weights: with a single slot everybody has a turn.
 */
export class WeightedSlots implements QueueSlots {
  private readonly accounts: ReadonlyMap<string, Account>;
  /** The slots that are for everybody. */
  private readonly common: number;
  private contending: ReadonlySet<string> = new Set();

  constructor(
    private readonly globalMaxWorkers: number,
    queues: readonly QueueShare[],
  ) {
    this.accounts = new Map(queues.map((queue) => [queue.name, { ...queue, used: 0, pass: 0 }]));
    this.common = globalMaxWorkers - queues.reduce((sum, { minWorkers }) => sum + minWorkers, 0);
  }

  canTake(queue: string): boolean {
    const account = this.account(queue);
    if (account.used >= account.maxWorkers) return false;
    return account.used < account.minWorkers || this.commonLeft() > 0;
  }

  free(contending: ReadonlySet<string>): ReadonlyMap<string, number> {
    const free = new Map(
      [...this.accounts.values()].map(({ name, used, minWorkers }) => [name, Math.max(minWorkers - used, 0)]),
    );
    this.welcome(contending);
    const wanting = [...this.accounts.values()]
      .filter(({ name }) => contending.has(name))
      .map((account) => ({ ...account, used: Math.max(account.used - account.minWorkers, 0) }));
    const weights = wanting.reduce((sum, { weight }) => sum + weight, 0);
    const share = (queue: QueueShare) => Math.floor((this.common * queue.weight) / weights);
    for (let left = Math.min(this.commonLeft(), MOST * wanting.length); left > 0; left--) {
      const open = wanting.filter(({ used, minWorkers, maxWorkers }) => minWorkers + used < maxWorkers);
      const below = open.filter((queue) => queue.used < share(queue));
      const next = least(below, ({ used, weight }) => (used + 1) / weight) ?? least(open, ({ pass }) => pass);
      if (next === undefined) break;
      next.used += 1;
      next.pass += 1 / next.weight;
      free.set(next.name, (free.get(next.name) ?? 0) + 1);
    }
    return free;
  }

  reserve(queue: string, slots: number): void {
    this.account(queue).used += slots;
  }

  unreserve(queue: string, slots: number): void {
    this.reserve(queue, -slots);
  }

  take(queue: string): void {
    const account = this.account(queue);
    if (account.used >= account.minWorkers) account.pass += 1 / account.weight;
    account.used += 1;
  }

  release(queue: string): void {
    this.account(queue).used -= 1;
  }

  /** Turns are not saved up: who had no work begins where the others are. */
  private welcome(contending: ReadonlySet<string>): void {
    const passes = [...this.accounts.values()]
      .filter(({ name }) => this.contending.has(name))
      .map(({ pass }) => pass);
    const now = passes.length > 0 ? Math.min(...passes) : 0;
    for (const account of this.accounts.values()) {
      if (contending.has(account.name) && !this.contending.has(account.name)) {
        account.pass = Math.max(account.pass, now);
      }
    }
    if (contending.size > 0) this.contending = new Set(contending);
  }

  private commonLeft(): number {
    let left = this.globalMaxWorkers;
    for (const { used, minWorkers } of this.accounts.values()) left -= Math.max(used, minWorkers);
    return left;
  }

  private account(queue: string): Account {
    const account = this.accounts.get(queue);
    if (account === undefined) throw new Error(`queue ${JSON.stringify(queue)} is not one of this process`);
    return account;
  }
}

function least<Item>(items: readonly Item[], measure: (item: Item) => number): Item | undefined {
  let best: Item | undefined;
  for (const item of items) if (best === undefined || measure(item) < measure(best)) best = item;
  return best;
}
