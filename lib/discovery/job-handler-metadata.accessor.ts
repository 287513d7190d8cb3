import { Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { JOB_HANDLER_METADATA } from '../jobs/index.js';
import type { JobDefinition } from '../jobs/index.js';

/** Reads what `@JobHandler()` left on a class. */
@Injectable()
export class JobHandlerMetadataAccessor {
  constructor(private readonly reflector: Reflector) {}

  /** The definition that a class, or a class it extends, is the handler of; undefined for anything else. */
  getDefinition(target: unknown): JobDefinition | undefined {
    if (typeof target !== 'function') return undefined;
    return this.reflector.get<JobDefinition | undefined>(JOB_HANDLER_METADATA, target);
  }
}
