import { Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { JOB_HANDLER_METADATA, JOB_HANDLER_OPTIONS_METADATA } from '../jobs/index.js';
import type { JobDefinition, JobHandlerOptions } from '../jobs/index.js';

/** Reads what `@JobHandler()` left on a class. */
@Injectable()
export class JobHandlerMetadataAccessor {
  constructor(private readonly reflector: Reflector) {}

  /** The definition that a class, or a class it extends, is the handler of; undefined for anything else. */
  getDefinition(target: unknown): JobDefinition | undefined {
    if (typeof target !== 'function') return undefined;
    return this.reflector.get<JobDefinition | undefined>(JOB_HANDLER_METADATA, target);
  }

  /** The options it was decorated with. */
  getOptions(target: (...args: never[]) => unknown): JobHandlerOptions {
    return this.reflector.get<JobHandlerOptions | undefined>(JOB_HANDLER_OPTIONS_METADATA, target) ?? {};
  }
}
