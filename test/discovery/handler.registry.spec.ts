// oxlint-disable typescript/no-extraneous-class -- a Nest module is an empty class
import { Module } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from 'vitest';
import { HandlerRegistry } from '../../lib/discovery/handler.registry.js';
import { JobHandlerExplorer } from '../../lib/discovery/job-handler.explorer.js';
import { JobHandlerMetadataAccessor } from '../../lib/discovery/job-handler-metadata.accessor.js';
import { BootError } from '../../lib/errors/index.js';
import { defineJob, JobHandler } from '../../lib/jobs/index.js';
import type { JobDefinition } from '../../lib/jobs/index.js';
import { Email, EmailHandler, OtherEmailHandler, Reindex, ReindexHandler } from './handlers.fixture.js';

@Module({ providers: [EmailHandler] })
class MailModule {}

@Module({ providers: [EmailHandler] })
class SecondMailModule {}

@Module({ providers: [OtherEmailHandler] })
class OtherMailModule {}

@Module({ providers: [ReindexHandler] })
class SearchModule {}

const QUEUES = ['default', 'mail'];

async function build(
  imports: Type[],
  queues: readonly string[] = QUEUES,
  expected?: readonly JobDefinition[],
): Promise<HandlerRegistry> {
  const moduleRef = await Test.createTestingModule({
    imports: [DiscoveryModule, ...imports],
    providers: [JobHandlerExplorer, JobHandlerMetadataAccessor],
  }).compile();
  return HandlerRegistry.build(moduleRef.get(JobHandlerExplorer).explore(), queues, expected);
}

async function problemsOf(...args: Parameters<typeof build>): Promise<readonly string[]> {
  const error: unknown = await build(...args).then(
    () => undefined,
    (rejected: unknown) => rejected,
  );
  if (error instanceof BootError) return error.problems;
  throw new Error('expected a BootError', { cause: error });
}

describe('HandlerRegistry', () => {
  it('has the handlers by kind', async () => {
    const registry = await build([MailModule, SearchModule], QUEUES, [Email, Reindex]);
    expect(registry.kinds()).toEqual(['email', 'reindex']);
    expect(registry.get('email')).toMatchObject({ definition: Email, className: 'EmailHandler' });
    expect(registry.get('reindex')?.wrapper.instance).toBeInstanceOf(ReindexHandler);
    expect(registry.get('toString')).toBeUndefined();
  });

  it('may be empty', async () => {
    expect((await build([])).kinds()).toEqual([]);
  });

  it('refuses two handlers for a kind', async () => {
    expect(await problemsOf([MailModule, OtherMailModule])).toEqual([
      'Job kind "email" has 2 handlers, EmailHandler (in MailModule) and OtherEmailHandler (in OtherMailModule): keep one of them.',
    ]);
  });

  it('refuses a class that two modules list', async () => {
    expect(await problemsOf([MailModule, SecondMailModule])).toEqual([
      'Job kind "email" has 2 handlers, EmailHandler (in MailModule) and EmailHandler (in SecondMailModule): ' +
        'list the class in one module, and import that module where it is needed.',
    ]);
  });

  it('refuses a queue that is not configured', async () => {
    expect(await problemsOf([MailModule, SearchModule], ['default', 'emial'])).toEqual([
      'EmailHandler (in MailModule) handles job kind "email" of queue "mail", which is not configured ' +
        '(configured: "default", "emial"): add the queue to the module option "queues", or correct the definition.',
    ]);
  });

  it('refuses a class without handle', async () => {
    // @ts-expect-error it has no handle
    @JobHandler(Email)
    class Broken {
      process() {}
    }
    @Module({ providers: [Broken] })
    class BrokenModule {}
    expect(await problemsOf([BrokenModule])).toEqual([
      'Broken (in BrokenModule) is decorated with @JobHandler() for job kind "email" but has no method "handle": add it.',
    ]);
  });

  it('refuses a kind that is defined twice', async () => {
    const again = defineJob('email', { queue: 'mail' });
    expect(await problemsOf([MailModule], QUEUES, [Email, again])).toEqual([
      'Job kind "email" is defined 2 times: call defineJob("email") once and import the result.',
    ]);
  });

  it('refuses to do without an expected handler', async () => {
    expect(await problemsOf([MailModule], QUEUES, [Email, Reindex, Reindex])).toEqual([
      'Job kind "reindex" has no handler: add the class decorated with @JobHandler() for it to the providers of a ' +
        'module, or take it out of the module option "jobs".',
    ]);
  });

  it('lists every problem in one error', async () => {
    const problems = await problemsOf([MailModule, OtherMailModule], [], [Reindex]);
    expect(problems.map((problem) => problem.split(' ').slice(0, 4).join(' '))).toEqual([
      'Job kind "email" has',
      'EmailHandler (in MailModule) handles',
      'OtherEmailHandler (in OtherMailModule) handles',
      'Job kind "reindex" has',
    ]);
  });
});
