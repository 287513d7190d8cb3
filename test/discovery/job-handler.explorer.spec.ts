// oxlint-disable typescript/no-extraneous-class -- a Nest module is an empty class
import { Injectable, Module, Scope } from '@nestjs/common';
import type { Provider } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from 'vitest';
import type { DiscoveredHandler } from '../../lib/discovery/discovered-handler.js';
import { JobHandlerExplorer } from '../../lib/discovery/job-handler.explorer.js';
import { JobHandlerMetadataAccessor } from '../../lib/discovery/job-handler-metadata.accessor.js';
import { JobHandler } from '../../lib/jobs/index.js';
import { Email, EmailHandler, Plain, Reindex, ReindexHandler } from './handlers.fixture.js';

@Module({ imports: [DiscoveryModule], providers: [JobHandlerExplorer, JobHandlerMetadataAccessor] })
class ExplorerModule {}

/** Boots an application with these providers in one feature module, and explores it. */
async function explore(...providers: Provider[]): Promise<DiscoveredHandler[]> {
  @Module({ providers })
  class FeatureModule {}
  const moduleRef = await Test.createTestingModule({ imports: [ExplorerModule, FeatureModule] }).compile();
  await moduleRef.init();
  const found = moduleRef.get(JobHandlerExplorer).explore();
  await moduleRef.close();
  return found;
}

@Injectable()
class Mailer {
  send(): string {
    return 'sent';
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestScopedMailer extends Mailer {}

describe('JobHandlerExplorer', () => {
  it('finds decorated classes, and no others', async () => {
    const found = await explore(EmailHandler, Plain, Mailer, ReindexHandler, {
      provide: 'NOTHING',
      useValue: null,
    });
    expect(found).toEqual([
      expect.objectContaining({
        definition: Email,
        className: 'EmailHandler',
        isStatic: true,
        hasHandle: true,
      }),
      expect.objectContaining({
        definition: Reindex,
        className: 'ReindexHandler',
        moduleName: 'FeatureModule',
      }),
    ]);
    expect(found[0]?.wrapper.instance).toBeInstanceOf(EmailHandler);
  });

  it('injects dependencies into a class that has no other decorator', async () => {
    @JobHandler(Email)
    class WithMailer {
      constructor(readonly mailer: Mailer) {}
      handle() {
        return this.mailer.send();
      }
    }
    const [handler] = await explore(WithMailer, Mailer);
    expect(handler?.wrapper.instance).toMatchObject({ mailer: expect.any(Mailer) });
  });

  it('finds handlers behind other tokens, values and factories', async () => {
    for (const provider of [
      { provide: 'TOKEN', useClass: EmailHandler },
      { provide: 'TOKEN', useValue: new EmailHandler() },
      { provide: 'TOKEN', useFactory: () => new EmailHandler() },
      { provide: 'TOKEN', useFactory: async () => Promise.resolve(new EmailHandler()) },
    ]) {
      expect(await explore(provider)).toEqual([
        expect.objectContaining({ className: 'EmailHandler', hasHandle: true }),
      ]);
    }
  });

  it('counts an alias only once, whether Nest knows it for one or not', async () => {
    const found = await explore(
      EmailHandler,
      { provide: 'ALIAS', useExisting: EmailHandler },
      { provide: 'FACTORY', useFactory: (handler: EmailHandler) => handler, inject: [EmailHandler] },
    );
    expect(found.map(({ wrapper }) => wrapper.token)).toEqual([EmailHandler]);
  });

  it('counts an alias of a request-scoped handler only once', async () => {
    @JobHandler(Email)
    @Injectable({ scope: Scope.REQUEST })
    class RequestScoped {
      handle() {}
    }
    const found = await explore(RequestScoped, { provide: EmailHandler, useExisting: RequestScoped });
    expect(found.map(({ wrapper }) => wrapper.token)).toEqual([RequestScoped]);
  });

  it('finds what a test has put in place of a handler', async () => {
    @Module({ providers: [EmailHandler] })
    class FeatureModule {}
    const fake = { handle: () => 'faked' };
    const builder = () => Test.createTestingModule({ imports: [ExplorerModule, FeatureModule] });
    const byValue = await builder().overrideProvider(EmailHandler).useValue(fake).compile();
    const byClass = await builder().overrideProvider(EmailHandler).useClass(Plain).compile();
    expect(byValue.get(JobHandlerExplorer).explore()).toEqual([
      expect.objectContaining({
        definition: Email,
        className: 'EmailHandler',
        isStatic: true,
        hasHandle: true,
      }),
    ]);
    expect(byClass.get(JobHandlerExplorer).explore()[0]?.wrapper.instance).toBeInstanceOf(Plain);
  });

  it('finds a class that extends a handler', async () => {
    class Derived extends EmailHandler {}
    expect(await explore(Derived)).toEqual([
      expect.objectContaining({ definition: Email, className: 'Derived' }),
    ]);
  });

  it('marks what needs an instance of its own for each job', async () => {
    @JobHandler(Email)
    @Injectable({ scope: Scope.REQUEST })
    class RequestScoped {
      handle() {}
    }
    @JobHandler(Email)
    class RequestScopedBelow {
      constructor(readonly mailer: RequestScopedMailer) {}
      handle() {}
    }
    @JobHandler(Email)
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient {
      handle() {}
    }
    const factory = { provide: EmailHandler, scope: Scope.REQUEST, useFactory: () => new EmailHandler() };
    const found = await explore(RequestScoped, RequestScopedBelow, RequestScopedMailer, Transient, factory);
    expect(found.map(({ className, isStatic, hasHandle }) => ({ className, isStatic, hasHandle }))).toEqual([
      { className: 'RequestScoped', isStatic: false, hasHandle: true },
      { className: 'RequestScopedBelow', isStatic: false, hasHandle: true },
      { className: 'Transient', isStatic: false, hasHandle: true },
      { className: 'EmailHandler', isStatic: false, hasHandle: true },
    ]);
  });

  it('sees whether there is a handle method', async () => {
    @JobHandler(Email)
    class AsProperty {
      readonly handle = () => 'sent';
    }
    // @ts-expect-error it has no handle
    @JobHandler(Reindex)
    class Without {
      process() {}
    }
    const found = await explore(AsProperty, Without);
    expect(found.map(({ hasHandle }) => hasHandle)).toEqual([true, false]);
  });
});
