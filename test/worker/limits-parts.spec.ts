import { expect, it } from 'vitest';

import { ClaimPermits } from '../../lib/worker/claim-permits.js';
import { KindLimits } from '../../lib/worker/kind-limits.js';
import { PrefetchSizes } from '../../lib/worker/prefetch-sizes.js';
import { QueueLooks } from '../../lib/worker/queue-looks.js';
import { ReservedSlots } from '../../lib/worker/queue-slots.js';

it('knows when a kind is full, and lets kinds without a limit alone', () => {
  const kinds = new KindLimits((kind) => (kind === 'limited' ? 2 : undefined));
  for (let job = 0; job < 1_000; job++) kinds.take('free');
  expect(kinds.isFull('free')).toBe(false);
  kinds.take('limited');
  expect(kinds.isFull('limited')).toBe(false);
  kinds.take('limited');
  expect(kinds.isFull('limited')).toBe(true);
  kinds.release('limited', 10);
  expect(kinds.isFull('limited')).toBe(false);
});

it('has few jobs of a kind wait: a fifth of a second of its work, none of a slow one', () => {
  const kinds = new KindLimits(() => 2);
  expect(kinds.maxWaiting('new')).toBe(2);
  kinds.take('short');
  kinds.release('short', 4);
  expect(kinds.maxWaiting('short')).toBe(100);
  kinds.take('shortest');
  kinds.release('shortest', 0);
  expect(kinds.maxWaiting('shortest')).toBe(512);
  kinds.take('slow');
  kinds.release('slow', 60_000);
  expect(kinds.maxWaiting('slow')).toBe(0);
});

it('has jobs that are set aside come back one after the other, as fast as the kind works', () => {
  const clock = { now: 0 };
  const kinds = new KindLimits(
    () => 2,
    () => clock.now,
  );
  kinds.take('kind');
  kinds.release('kind', 1_000);
  // A second each, two at a time: half a second, less a fifth.
  const back = Array.from({ length: 10 }, () => clock.now + kinds.asideMs('kind'));
  expect(back).toEqual(Array.from({ length: 10 }, (_, n) => 600 + n * 400));
  clock.now = 60_000;
  expect(kinds.asideMs('kind')).toBe(600);
  for (let job = 0; job < 10_000; job++) expect(kinds.asideMs('kind')).toBeLessThanOrEqual(60_000);
});

it('takes a kind for slow whose jobs do not end', () => {
  const clock = { now: 0 };
  const kinds = new KindLimits(
    () => 1,
    () => clock.now,
  );
  kinds.take('kind');
  kinds.release('kind', 10);
  kinds.take('kind');
  expect(kinds.maxWaiting('kind')).toBe(20);
  clock.now = 5_000;
  expect(kinds.maxWaiting('kind')).toBe(0);
  expect(kinds.asideMs('kind')).toBe(200 + 4_000);
  kinds.release('kind', 10);
  expect(kinds.maxWaiting('kind')).toBe(20);
});

it('prefetches twice what handlers end during a claim, up to 50 ms of work, and nothing for slow, single or unknown ones', () => {
  const queue = (name: string, maxWorkers: number, prefetch = true) => ({ name, maxWorkers, prefetch });
  const sizes = new PrefetchSizes([queue('q', 50), queue('one', 1), queue('off', 50, false)]);
  const handled = (name: string, ms: number) => {
    for (let job = 0; job < 200; job++) sizes.handled(name, ms);
  };
  for (const name of ['q', 'one', 'off']) handled(name, 19);
  expect(sizes.size('q')).toBe(0);
  sizes.claimed(4);
  expect(sizes.size('q')).toBe(21);
  expect([sizes.size('one'), sizes.size('off'), sizes.size('none')]).toEqual([0, 0, 0]);
  handled('q', 0.1);
  expect(sizes.size('q')).toBe(400);
  for (let claim = 0; claim < 200; claim++) sizes.claimed(50);
  expect(sizes.size('q')).toBe(2_500);
  for (let claim = 0; claim < 200; claim++) sizes.claimed(4);
  sizes.stalled('q', 300);
  expect(sizes.size('q')).toBe(0);
  handled('q', 19);
  expect(sizes.size('q')).toBe(21);
  handled('q', 100);
  expect(sizes.size('q')).toBe(0);
});

it('looks at a queue again after an announcement during the look, and otherwise when its poll comes round', () => {
  const clock = { now: 0 };
  let hears = false;
  const looks = new QueueLooks(
    ['a', 'b'],
    100,
    () => hears,
    () => clock.now,
  );
  const empty = { jobs: 0, priority: undefined, wasFull: false, wasContended: false, wasRefused: false };
  const look = (queue: string, result = empty, meanwhile?: string) => {
    looks.begin(queue);
    if (meanwhile !== undefined) looks.announce(meanwhile);
    looks.end(queue, result);
  };
  expect([...looks.due()]).toEqual(['a', 'b']);
  look('a', empty, 'b');
  look('b', empty, 'b');
  expect([...looks.due()]).toEqual(['b']);
  expect(looks.nextPollInMs(looks.due())).toBe(100);
  look('b');
  expect([...looks.due()]).toEqual([]);
  looks.announce('a');
  expect([...looks.due()]).toEqual(['a']);
  look('a', { ...empty, jobs: 3, wasFull: true });
  expect([...looks.due()]).toEqual(['a']);
  look('a', { ...empty, jobs: 3 });
  expect([...looks.due()]).toEqual([]);

  // Others claim from it now: soon again, but not at once.
  look('a', { ...empty, wasContended: true });
  expect(looks.due().size).toBe(0);
  expect(looks.nextPollInMs(looks.due())).toBeGreaterThanOrEqual(5);
  expect(looks.nextPollInMs(looks.due())).toBeLessThanOrEqual(10);
  for (let again = 0; again < 10; again++) look('a', { ...empty, wasContended: true });
  expect(looks.nextPollInMs(looks.due())).toBeGreaterThanOrEqual(40);
  expect(looks.nextPollInMs(looks.due())).toBeLessThanOrEqual(80);
  // What comes meanwhile is seen at the end of the wait: a look at each notification, by each of many processes, would be in vain.
  looks.announce('a');
  expect(looks.due().size).toBe(0);
  look('a', { ...empty, wasContended: true }, 'a');
  expect(looks.due().size).toBe(0);
  expect(looks.isDue('a')).toBe(false);
  clock.now = 80;
  expect([...looks.due()]).toEqual(['a']);
  clock.now = 0;
  look('a', { ...empty, jobs: 1, wasContended: true });
  expect(looks.nextPollInMs(looks.due())).toBeLessThanOrEqual(10);
  looks.announce('a');
  expect([...looks.due()]).toEqual(['a']);
  look('a', { ...empty, jobs: 1 });

  // An idle queue is looked at less and less often, up to ten times; further where notifications come.
  for (let idle = 0; idle < 20; idle++) for (const queue of ['a', 'b']) look(queue);
  expect(looks.nextPollInMs(looks.due())).toBe(1_000);
  hears = true;
  for (const queue of ['a', 'b']) look(queue);
  expect(looks.nextPollInMs(looks.due())).toBe(2_500);
  hears = false;
  looks.announce();
  for (const queue of ['a', 'b']) look(queue);
  expect(looks.nextPollInMs(looks.due())).toBe(100);
});

it('looks at the one priority that is known to have jobs, and at all every so often', () => {
  const clock = { now: 0 };
  let hears = true;
  const looks = new QueueLooks(
    ['a'],
    100,
    () => hears,
    () => clock.now,
  );
  const nothing = { jobs: 0, priority: undefined, wasFull: false, wasContended: false, wasRefused: false };
  const some = (priority: number) => ({ ...nothing, jobs: 5, priority });
  const full = (priority: number) => ({ ...some(priority), wasFull: true });
  const lookAt = (result: typeof nothing | ReturnType<typeof some>, meanwhile?: number) => {
    const priority = looks.begin('a');
    if (meanwhile !== undefined) looks.announce('a', meanwhile);
    looks.end('a', result);
    return priority;
  };
  // Nothing is known at first. Then they are known to be empty, but for what is announced.
  expect(looks.ridesAlong('a', new Set())).toBe(true);
  expect(lookAt(some(2))).toBe(0);
  expect(looks.ridesAlong('a', new Set())).toBe(false);
  expect(looks.ridesAlong('a', new Set(['a']))).toBe(true);
  looks.announce('a', 3);
  expect(looks.ridesAlong('a', new Set(['a']))).toBe(false);
  looks.announce('a', 3);
  expect(lookAt(some(3), 2)).toBe(3);
  expect(looks.isDue('a')).toBe(true);
  expect(lookAt(some(2))).toBe(2);
  expect(looks.isDue('a')).toBe(false);
  looks.announce('a', 2);
  looks.announce('a', 1);
  expect(lookAt(some(2))).toBe(0);
  looks.announce('a', 2);
  looks.announce('a');
  expect(lookAt(nothing)).toBe(0);
  clock.now += 4_999;
  looks.announce('a', 2);
  expect(lookAt(some(2))).toBe(2);
  clock.now += 1;
  looks.announce('a', 2);
  // Full: on with where the last job lay, for a second. Those behind it were not looked at, so they are when that one is empty.
  expect(lookAt(full(2))).toBe(0);
  expect(lookAt(full(2))).toBe(2);
  expect(lookAt({ ...nothing, wasContended: true })).toBe(2);
  expect(lookAt(full(2))).toBe(2);
  expect(lookAt(some(2))).toBe(2);
  expect(looks.isDue('a')).toBe(true);
  expect(lookAt(full(3))).toBe(0);
  clock.now += 1_000;
  expect(lookAt(full(3))).toBe(0);
  // A more urgent one is announced.
  expect(lookAt(full(3), 1)).toBe(3);
  expect(lookAt(full(3))).toBe(0);
  // Without notifications nothing is known.
  hears = false;
  expect(lookAt(nothing)).toBe(0);
  looks.announce('a', 2);
  expect(lookAt(nothing)).toBe(0);
});

it('misses no poll and no token that comes between the look at what is due and that at the time left', () => {
  // A clock that goes on whenever it is read.
  let now = 0;
  const clock = () => (now += 0.4);
  const looks = new QueueLooks(['a', 'b'], 10, () => false, clock);
  const slots = new ReservedSlots([{ name: 'a', maxWorkers: 5 }]);
  const rateLimit = { max: 1, perMs: 7, burst: 1 };
  const permits = new ClaimPermits([{ name: 'a', rateLimit }], slots, () => 0, clock);
  const polls: number[] = [];
  const tokens: number[] = [];
  for (let turn = 0; turn < 1_000; turn++) {
    const due = looks.due();
    if (due.size > 0) {
      for (const queue of due) {
        looks.begin(queue);
        looks.end(queue, { jobs: 1, priority: 2, wasFull: false, wasContended: false, wasRefused: false });
      }
    } else polls.push(looks.nextPollInMs(due));

    const contending = new Set(['a']);
    const taken = permits.available(contending);
    if (taken.length > 0) {
      permits.take(taken);
      permits.giveBack(taken, () => 1);
    } else tokens.push(permits.tokensInMs(contending));
  }
  expect(polls.length).toBeGreaterThan(100);
  expect(Math.max(...polls)).toBeLessThanOrEqual(10);
  expect(tokens.length).toBeGreaterThan(100);
  expect(Math.max(...tokens)).toBeLessThanOrEqual(7);
});

it('counts starts, not claims: however long claims take, no time sees more starts than the rate allows', () => {
  let now = 0;
  const slots = new ReservedSlots([{ name: 'a', maxWorkers: 100 }]);
  const rateLimit = { max: 20, perMs: 500, burst: 5 };
  const permits = new ClaimPermits(
    [{ name: 'a', rateLimit }],
    slots,
    () => 0,
    () => now,
  );
  const starts: number[] = [];
  for (let claim = 0; claim < 10_000; claim++) {
    // Now and then nothing is asked for, and then a claim takes long.
    const isSlow = claim % 600 === 0;
    if (isSlow) now += 300;
    const taken = permits.available(new Set(['a']));
    permits.take(taken);
    now += isSlow ? 300 : 1;
    const jobs = taken[0]?.limit ?? 0;
    permits.giveBack(taken, () => jobs);
    for (let job = 0; job < jobs; job++) starts.push(now);
  }
  let most = 0;
  for (let first = 0, last = 0; last < starts.length; last++) {
    while ((starts[last] ?? 0) - (starts[first] ?? 0) >= 500) first++;
    most = Math.max(most, last - first + 1);
  }
  expect(most).toBeLessThanOrEqual(25);
  expect(starts.length).toBeGreaterThan((now / 500) * 10);
});
