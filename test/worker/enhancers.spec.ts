import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  Inject,
  Injectable,
  Module,
  type NestInterceptor,
  type Provider,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, REQUEST } from '@nestjs/core';
import {
  AWA_CONTEXT_TYPE,
  AwaModule,
  BootError,
  complete,
  defineJob,
  fail,
  type Job,
  JobHandler,
  QueueService,
  retryAfter,
  snooze,
} from 'nestjs-awa';
import { catchError, map, type Observable, of, tap } from 'rxjs';
import { beforeEach, describe, expect, it } from 'vitest';

import { useNestApps } from '../module/nest-apps.js';
import { failOnUnhandled, jobIn } from '../support/test-app.js';
import { useTestDatabase } from '../support/test-database.js';

const Work = defineJob<number, 'work'>('work', { retry: { baseMs: 60_000 } });

let events: string[];

@Injectable()
class Log {
  write(line: string): void {
    events.push(line);
  }
}

@Injectable()
class OddOnly implements CanActivate {
  constructor(@Inject(Log) private readonly log: Log) {}

  canActivate(context: ExecutionContext): boolean {
    const [job, { signal }] = context.getArgs<[Job<number>, { signal: AbortSignal }]>();
    this.log.write(
      `guard ${context.getType()} ${context.getClass().name}.${context.getHandler().name} ${signal.aborted}`,
    );
    if (job.args === 6) throw snooze(60_000);
    return job.args % 2 === 1;
  }
}

@Injectable()
class Timed implements NestInterceptor {
  constructor(@Inject(Log) private readonly log: Log) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    this.log.write(`before ${context.getArgByIndex<Job<number>>(0).args}`);
    return next.handle().pipe(tap({ next: (value) => this.log.write(`after ${String(value)}`) }));
  }
}

class Gone extends Error {}
class Busy extends Error {}

@Catch(Gone, Busy)
class Outcomes implements ExceptionFilter {
  catch(error: Error, host: ArgumentsHost): unknown {
    events.push(`filter ${host.getType()} ${host.getArgs<[Job<number>]>()[0].args}`);
    return error instanceof Gone ? fail(error) : retryAfter(60_000, 'busy');
  }
}

@Catch()
class OnlyLooks implements ExceptionFilter {
  async catch(error: unknown): Promise<void> {
    events.push(`looked at ${String(error)}`);
  }
}

describe('enhancers of a job handler', () => {
  failOnUnhandled();
  const database = useTestDatabase();
  const apps = useNestApps();

  beforeEach(() => {
    events = [];
  });

  async function start(...providers: Provider[]): Promise<QueueService> {
    @Module({ providers: [Log, ...providers] })
    class FeatureModule {}
    const app = await apps.start({ imports: [FeatureModule, AwaModule.forRoot({ url: database.url })] });
    return app.get(QueueService);
  }

  it('run in order: guards, interceptors, the handler, with the job and its context', async () => {
    @JobHandler(Work)
    @UseGuards(OddOnly)
    class Handler {
      @UseInterceptors(Timed)
      handle({ args }: Job<number>): string {
        events.push(`handler ${args}`);
        return 'done';
      }
    }
    const queue = await start(Handler);
    const { id } = await queue.enqueue(Work, 1);
    await jobIn('completed', queue, id);
    expect(events).toEqual(['guard awa Handler.handle false', 'before 1', 'handler 1', 'after done']);
    expect(AWA_CONTEXT_TYPE).toBe('awa');
  });

  it('a guard that refuses fails the job for good; one that throws an outcome decides it', async () => {
    @JobHandler(Work)
    @UseGuards(OddOnly)
    class Handler {
      handle(): void {
        events.push('handler');
      }
    }
    const queue = await start(Handler);
    const [refused, snoozed] = await queue.enqueueMany(Work, [2, 6]);
    const { errors } = await jobIn('failed', queue, refused!.id);
    expect(errors).toMatchObject([{ attempt: 1, error: 'a guard has refused the job', terminal: true }]);
    await jobIn('scheduled', queue, snoozed!.id);
    expect(events).not.toContain('handler');
  });

  it('filters make outcomes of the errors they are for, and of nothing else', async () => {
    const thrown = [new Gone('the account is gone'), new Busy(), new Error('plain'), snooze(60_000)];
    @JobHandler(Work)
    @UseFilters(Outcomes)
    class Handler {
      handle({ args }: Job<number>): never {
        throw thrown[args] as Error;
      }
    }
    const queue = await start(Handler);
    const ids = (await queue.enqueueMany(Work, [0, 1, 2, 3])).map(({ id }) => id) as [
      string,
      string,
      string,
      string,
    ];
    expect((await jobIn('failed', queue, ids[0])).errors[0]?.error).toContain('the account is gone');
    expect((await jobIn('retryable', queue, ids[1])).errors[0]?.error).toBe('busy');
    expect((await jobIn('retryable', queue, ids[2])).errors[0]?.error).toContain('plain');
    await jobIn('scheduled', queue, ids[3]);
    expect(events.toSorted()).toEqual(['filter awa 0', 'filter awa 1']);
  });

  it('an error that a filter has only looked at stays an error', async () => {
    @JobHandler(Work)
    @UseFilters(OnlyLooks)
    class Handler {
      handle({ args }: Job<number>): never {
        throw args === 1 ? new Error('no luck') : snooze(60_000);
      }
    }
    const queue = await start(Handler);
    const { id } = await queue.enqueue(Work, 1);
    expect((await jobIn('retryable', queue, id)).errors[0]?.error).toContain('no luck');
    // An outcome is none of theirs.
    await jobIn('scheduled', queue, (await queue.enqueue(Work, 2)).id);
    expect(events).toEqual(['looked at Error: no luck']);
  });

  it('an interceptor can turn an error into an outcome, and an outcome into another', async () => {
    @Injectable()
    class Lenient implements NestInterceptor {
      intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(
          map((value) => (value === 'later' ? snooze(60_000) : value)),
          catchError(() => of(complete())),
        );
      }
    }
    @JobHandler(Work)
    @UseInterceptors(Lenient)
    class Handler {
      handle({ args }: Job<number>): string {
        if (args === 1) throw new Error('never mind');
        return 'later';
      }
    }
    const queue = await start(Handler);
    const [first, second] = await queue.enqueueMany(Work, [1, 2]);
    expect(await jobIn('completed', queue, first!.id)).toMatchObject({ errors: [] });
    expect(await jobIn('scheduled', queue, second!.id)).toMatchObject({ attempt: 0 });
  });

  it('may be request-scoped, and are the same for one job only', async () => {
    let made = 0;
    @Injectable({ scope: Scope.REQUEST })
    class Scoped implements CanActivate {
      private readonly number = (made += 1);
      constructor(@Inject(REQUEST) private readonly job: Job<number>) {}

      canActivate(): boolean {
        events.push(`guard ${this.number} for ${this.job.args}`);
        return true;
      }
    }
    @JobHandler(Work)
    @UseGuards(Scoped)
    class Handler {
      handle(): void {}
    }
    const queue = await start(Handler);
    for (const n of [10, 20]) {
      const { id } = await queue.enqueue(Work, n);
      await jobIn('completed', queue, id);
    }
    expect(events).toEqual(['guard 1 for 10', 'guard 2 for 20']);
  });

  it('that are global leave jobs alone', async () => {
    class Never {
      canActivate(): boolean {
        events.push('guard');
        return false;
      }
      intercept(): never {
        throw new Error('global interceptor');
      }
      catch(): unknown {
        return complete();
      }
    }
    @JobHandler(Work)
    @UseInterceptors(Timed)
    class Handler {
      handle({ args }: Job<number>): void {
        if (args === 2) throw new Error('no luck');
      }
    }
    const globals = [APP_GUARD, APP_INTERCEPTOR].map((provide) => ({ provide, useClass: Never }));
    Catch()(Never);
    const queue = await start(Handler, ...globals, { provide: APP_FILTER, useClass: Never });
    const [first, second] = await queue.enqueueMany(Work, [1, 2]);
    await jobIn('completed', queue, first!.id);
    await jobIn('retryable', queue, second!.id);
    expect(events).not.toContain('guard');
  });

  it('do not include pipes: boot fails', async () => {
    @JobHandler(Work)
    @UsePipes(
      class Pipe {
        transform(): void {}
      },
    )
    class Handler {
      handle(): void {}
    }
    const starting = start(Handler);
    await expect(starting).rejects.toThrow(BootError);
    await expect(starting).rejects.toThrow(/Handler \(in FeatureModule\).*@UsePipes\(\).*schema/);
  });
});
