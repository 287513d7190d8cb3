import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { releaseUnknownClaims, rescueAttempts } from '../../../lib/storage/operations/instances.js';
import { promoteDeferred } from '../../../lib/storage/operations/promote-deferred.js';
import { purgeExpiredDeadLetters } from '../../../lib/storage/operations/purge-dead-letters.js';
import { registerTestInstance, SCHEMA } from '../../support/storage-fixture.js';
import { endAll, promote, purgeExpired, rescue } from '../reference/maintenance.js';
import { laneOf } from '../reference/job.js';
import type { Reference, RefInstance } from '../reference/reference.js';
import type { World } from '../world.js';
import type { Call, CallPlan } from './call.js';
import { pick, pickSome, step } from './step.js';

export const promoteAtMost = (ref: Reference, limit: number): Call => ({
  fills: [...new Set(ref.in('scheduled', 'retryable').map(laneOf))],
  send: async (_, port) => {
    const { promoted } = await promoteDeferred(port, SCHEMA, limit);
    return (now) => assert.equal(promoted, promote(now, limit));
  },
});

export const promoteCall: fc.Arbitrary<CallPlan> = fc.constantFrom(1, 2, 1000).map((limit) => ({
  name: 'promote',
  args: { limit },
  plan: (ref) => promoteAtMost(ref, limit),
}));

/** Hours go by: what the engine compares with its clock gets so much older. What is not committed cannot be made so. */
export async function passTime(ref: Reference, { database }: World, hours: number): Promise<void> {
  for (const [table, column] of [
    ['deferred_jobs', 'run_at'],
    ['ready_entries', 'run_at'],
    ['completion_batches', 'completed_at'],
    ['dlq_entries', 'dlq_at'],
  ])
    await database.query(`UPDATE awa.${table} SET ${column} = ${column} - $1 * interval '1 hour'`, [hours]);
  ref.hour += hours;
}

export const timeStep = fc.constantFrom(1, 2).map((hours) =>
  step(
    'time',
    { hours },
    {
      check: (ref) =>
        ref.transactions.every((transaction) => transaction?.jobs.every((job) => job.hours === 0) ?? true),
      run: (ref, world) => passTime(ref, world, hours),
    },
  ),
);

export const silenceStep = fc.nat({ max: 2 }).map((number) =>
  step(
    'silence',
    { number },
    {
      check: (ref) => pick(ref.instances, number)!.state === 'alive',
      run: async (ref, { database }) => {
        const instance = pick(ref.instances, number)!;
        instance.state = 'silent';
        // Stale after less than the server is up: nobody is judged by a time before its start.
        await database.query(
          `UPDATE awa.runtime_instances SET heartbeat_at = heartbeat_at - interval '1 hour', stale_after = '1 ms'
         WHERE instance_id = $1`,
          [instance.id],
        );
      },
    },
  ),
);

/** A process starts again, as another instance. */
export async function register(ref: Reference, { port }: World, instance: RefInstance): Promise<void> {
  instance.id = await registerTestInstance(port);
  instance.state = 'alive';
}

export const registerStep = fc.nat({ max: 2 }).map((number) =>
  step(
    'register',
    { number },
    {
      check: (ref) => pick(ref.instances, number)!.state === 'gone',
      run: (ref, world) => register(ref, world, pick(ref.instances, number)!),
    },
  ),
);

export const rescueStep = fc.constant(
  step(
    'rescue',
    {},
    {
      check: (ref) =>
        ref.instances.some(({ state }) => state === 'alive') &&
        ref.instances.some(({ state }) => state === 'silent'),
      run: async (ref, { port }) => {
        const self = ref.instances.find(({ state }) => state === 'alive')!;
        assert.equal(await rescueAttempts(port, SCHEMA, self.id, 86_400_000, 1000), rescue(ref));
      },
    },
  ),
);

/** A process hands back what it holds without knowing: it knows some of its claims. */
export const releaseStep = fc
  .record({ number: fc.nat({ max: 2 }), known: fc.array(fc.nat(), { maxLength: 2 }) })
  .map((args) =>
    step('release unknown claims', args, {
      check: (ref) => {
        const instance = pick(ref.instances, args.number)!;
        return (
          instance.state !== 'gone' &&
          ref.attempts.some((attempt) => attempt.open && attempt.instance === instance)
        );
      },
      run: async (ref, { port }) => {
        const instance = pick(ref.instances, args.number)!;
        const own = ref.attempts.filter((attempt) => attempt.open && attempt.instance === instance);
        const known = pickSome(own, args.known).map(({ claimed }) => claimed.claim);
        const unknown = own.filter(
          ({ claimed: { claim } }) =>
            !known.some(({ laneId, claimSeq }) => laneId === claim.laneId && claimSeq === claim.claimSeq),
        );
        assert.equal(
          await releaseUnknownClaims(port, SCHEMA, instance.id, known),
          endAll(ref, unknown, 'released'),
        );
      },
    }),
  );

export const expireStep = fc.constant(
  step(
    'expire dead letters',
    {},
    {
      check: (ref) => ref.jobs.some(({ deadHour }) => deadHour !== undefined),
      run: async (ref, { port }) => {
        assert.equal(await purgeExpiredDeadLetters(port, SCHEMA, 1000), purgeExpired(ref));
      },
    },
  ),
);
