import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import {
  defineJob,
  type EnqueuedJob,
  type JobContext,
  JobHandler,
  type JobOf,
  QueueService,
} from 'nestjs-awa';
import { DataSource } from 'typeorm';
import { Greeting } from './greeting.entity.js';

export const Greet = defineJob<{ name: string }>('greet');

/** Whom the handler has greeted, for the program to wait for. */
@Injectable()
export class Greeted {
  resolve!: (name: string) => void;
  readonly first = new Promise<string>((resolve) => {
    this.resolve = resolve;
  });
}

@JobHandler(Greet)
export class GreetHandler {
  constructor(private readonly greeted: Greeted) {}

  handle({ args }: JobOf<typeof Greet>, { attempt }: JobContext): void {
    if (attempt === 1) this.greeted.resolve(args.name);
  }
}

@Injectable()
export class Greeter {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly queue: QueueService,
  ) {}

  /** The greeting and its job, or neither. */
  greet(name: string): Promise<EnqueuedJob> {
    return this.dataSource.transaction(async (manager) => {
      const job = await this.queue.enqueue(Greet, { name }, { manager });
      await manager.insert(Greeting, { name, jobId: job.id });
      return job;
    });
  }
}
