import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { complete, defineJob, JobHandler } from '../../lib/jobs/index.js';
import type {
  Job,
  JobContext,
  JobDefinition,
  JobHandlerFor,
  JobInput,
  JobOf,
  JobOutcome,
  JobOutput,
  JobProgress,
  JsonSafe,
  JsonValue,
  TransactionalJobContext,
} from '../../lib/jobs/index.js';
import type { EntityManager } from 'typeorm';

// What is asserted here is checked by the compiler (npm run typecheck); at run time these tests do little.

describe('types of a definition', () => {
  it('come from the schema, input and output apart', () => {
    const schema = z.object({ to: z.string(), at: z.string().transform((iso) => new Date(iso)) });
    const SendEmail = defineJob('send_email', { schema, queue: 'email' });
    expectTypeOf(SendEmail).toEqualTypeOf<
      JobDefinition<{ to: string; at: string }, { to: string; at: Date }, 'send_email'>
    >();
    expectTypeOf<JobInput<typeof SendEmail>>().toEqualTypeOf<{ to: string; at: string }>();
    expectTypeOf<JobOutput<typeof SendEmail>>().toEqualTypeOf<{ to: string; at: Date }>();
    expectTypeOf<JobOf<typeof SendEmail>>().toEqualTypeOf<Job<{ to: string; at: Date }>>();
    expect(SendEmail.kind).toBe('send_email');
  });

  it('come from valibot and arktype as well', () => {
    const ByValibot = defineJob('v', { schema: v.object({ n: v.pipe(v.string(), v.transform(Number)) }) });
    const ByArktype = defineJob('a', { schema: type({ to: 'string', 'n?': 'number' }) });
    expectTypeOf(ByValibot).toEqualTypeOf<JobDefinition<{ n: string }, { n: number }, 'v'>>();
    expectTypeOf(ByArktype).toEqualTypeOf<
      JobDefinition<{ to: string; n?: number }, { to: string; n?: number }, 'a'>
    >();
  });

  it('come from the type argument without a schema', () => {
    const Reindex = defineJob<{ id: string }>('reindex', { maxAttempts: 3 });
    const Named = defineJob<{ id: string }, 'reindex'>('reindex');
    expectTypeOf(Reindex).toEqualTypeOf<JobDefinition<{ id: string }, { id: string }>>();
    expectTypeOf(Named.kind).toEqualTypeOf<'reindex'>();
    expectTypeOf(defineJob('anything')).toEqualTypeOf<JobDefinition<JsonValue, JsonValue, 'anything'>>();
  });

  it('are all assignable to JobDefinition', () => {
    const definitions: JobDefinition[] = [
      defineJob<{ id: string }>('a'),
      defineJob('b', { schema: z.number() }),
    ];
    expect(definitions).toHaveLength(2);
  });
});

describe('JSON safety', () => {
  interface Tree {
    name: string;
    children: Tree[];
  }

  it('passes what JSON brings back', () => {
    type Plain = { a: string; b?: number | null; c: readonly ['x', 2]; d: { e: boolean }[]; f: JsonValue };
    expectTypeOf<JsonSafe<Plain>>().toEqualTypeOf<Plain>();
    expectTypeOf<JsonSafe<unknown>>().toBeUnknown();
    defineJob<Plain>('plain');
    defineJob<Tree>('tree');
    defineJob<unknown>('unknown');
    defineJob('json', { schema: z.json() });
    defineJob('branded', { schema: z.object({ id: z.string().brand('id') }) });
    defineJob('union', {
      schema: z.union([z.object({ t: z.literal('a') }), z.object({ t: z.literal('b') })]),
    });
    // The handler may get what it likes: only the input is stored.
    defineJob('coerced', { schema: z.object({ at: z.iso.datetime().transform((iso) => new Date(iso)) }) });
  });

  it('refuses what it does not', () => {
    const refused = [
      // @ts-expect-error bigint
      defineJob<{ id: bigint }>('x'),
      // @ts-expect-error nested Map
      defineJob<{ deep: { m: Map<string, string> }[] }>('x'),
      // @ts-expect-error Set
      defineJob<{ s: Set<string> }>('x'),
      // @ts-expect-error function
      defineJob<{ f: () => void }>('x'),
      // @ts-expect-error symbol
      defineJob<{ s: symbol }>('x'),
      // @ts-expect-error Date
      defineJob<{ at: Date }>('x'),
      // @ts-expect-error a Date in an optional property
      defineJob<{ at?: Date | null }>('x'),
      // @ts-expect-error binary data
      defineJob<{ bytes: Uint8Array }>('x'),
      // @ts-expect-error promise
      defineJob<{ p: Promise<string> }>('x'),
      // @ts-expect-error nothing at all
      defineJob<void>('x'),
      // @ts-expect-error Date as the input of a schema
      defineJob('x', { schema: z.object({ at: z.date() }) }),
      // @ts-expect-error bigint as the input of a schema
      defineJob('x', { schema: v.object({ id: v.bigint() }) }),
      // @ts-expect-error Date as the input of a schema
      defineJob('x', { schema: type({ at: 'Date' }) }),
    ];
    // The compiler is the only one to object: what is really enqueued is checked then.
    expect(refused).toHaveLength(13);
  });
});

describe('types of a handler', () => {
  const SendEmail = defineJob('send_email', {
    schema: z.object({ to: z.string(), at: z.string().transform((iso) => new Date(iso)) }),
  });

  it('accept handlers of the job, whatever they return', () => {
    @JobHandler(SendEmail)
    class Full implements JobHandlerFor<typeof SendEmail> {
      constructor(
        private readonly mailer: { send(to: string): void },
        protected readonly retries: number,
      ) {}

      async handle(job: JobOf<typeof SendEmail>, context: JobContext): Promise<JobOutcome | void> {
        expectTypeOf(job.args.at).toEqualTypeOf<Date>();
        expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
        this.mailer.send(job.args.to);
        return complete();
      }
    }

    @JobHandler(SendEmail)
    class Short {
      handle(job: Job<{ to: string }>): string {
        return job.args.to;
      }
    }

    @JobHandler(SendEmail)
    class Property {
      readonly handle = async (): Promise<number> => 5;
    }

    expect([Full, Short, Property]).toHaveLength(3);
  });

  it('give progress and checkpoints', () => {
    @JobHandler(SendEmail)
    class Resuming {
      async handle(job: JobOf<typeof SendEmail>, { setProgress, checkpoint, flush }: JobContext) {
        expectTypeOf(job.checkpoint).toEqualTypeOf<JsonValue>();
        expectTypeOf(job.progress).toEqualTypeOf<JobProgress | null>();
        expectTypeOf(setProgress).toEqualTypeOf<(percent: number, message?: string) => void>();
        expectTypeOf(flush).toEqualTypeOf<() => Promise<void>>();
        const state: { next: number; seen?: string[] } = { next: 1 };
        const unknown: unknown = state;
        await Promise.all([checkpoint(state), checkpoint(null), checkpoint([1, 'a']), checkpoint(unknown)]);
        await checkpoint<typeof state>({ next: 2 });
        // @ts-expect-error Date
        await checkpoint({ at: new Date() });
        // @ts-expect-error bigint
        await checkpoint({ id: 1n });
        // @ts-expect-error nothing at all
        await checkpoint();
        // @ts-expect-error text
        setProgress('50');
        return (job.checkpoint ?? { next: 0 }) as { next: number };
      }
    }

    expect(Resuming).toBeDefined();
  });

  it('give transactional handlers a manager, and no others', () => {
    @JobHandler(SendEmail, { transactional: true })
    class InTransaction {
      async handle(job: JobOf<typeof SendEmail>, { manager, signal }: TransactionalJobContext) {
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
        expectTypeOf(manager).toEqualTypeOf<EntityManager>();
        return job.args.to;
      }
    }

    @JobHandler(SendEmail, { transactional: true })
    class WithoutContext {
      handle() {}
    }

    // @ts-expect-error there is no transaction without the option
    @JobHandler(SendEmail)
    class NotInTransaction {
      handle(_: JobOf<typeof SendEmail>, { manager }: TransactionalJobContext) {
        return manager;
      }
    }

    // @ts-expect-error args of another job
    @JobHandler(SendEmail, { transactional: true })
    class ForAnother {
      handle(job: Job<{ from: string }>) {
        return job;
      }
    }

    expect([InTransaction, WithoutContext, NotInTransaction, ForAnother]).toHaveLength(4);
  });

  it('refuse classes that cannot handle the job', () => {
    // @ts-expect-error no handle
    @JobHandler(SendEmail)
    class WithoutHandle {
      process() {}
    }

    // @ts-expect-error args of another job
    @JobHandler(SendEmail)
    class ForAnother {
      handle(job: Job<{ from: string }>) {
        return job;
      }
    }

    // @ts-expect-error asks for the input, and gets the output
    @JobHandler(SendEmail)
    class ForInput {
      handle(job: Job<JobInput<typeof SendEmail>>) {
        return job;
      }
    }

    // @ts-expect-error asks for more than there is
    @JobHandler(SendEmail)
    class ForMore {
      handle(job: Job<{ to: string; at: Date; cc: string }>) {
        return job;
      }
    }

    expect([WithoutHandle, ForAnother, ForInput, ForMore]).toHaveLength(4);
  });
});
