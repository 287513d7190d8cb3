import { Reflector } from '@nestjs/core';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../lib/errors/index.js';
import { defineJob, JOB_HANDLER_METADATA, JobHandler } from '../../lib/jobs/index.js';

describe('@JobHandler', () => {
  it('leaves the definition on the class', () => {
    const definition = defineJob('x');
    @JobHandler(definition)
    class Handler {
      handle() {}
    }
    expect(new Reflector().get(JOB_HANDLER_METADATA, Handler)).toBe(definition);
  });

  it.each([undefined, null, {}, { kind: 'x' }, 'x'])('refuses %j as a definition', (value) => {
    // @ts-expect-error not a definition
    expect(() => JobHandler(value)).toThrow(InvalidOptionsError);
  });

  it.each([{ transactional: 1 }, { transactionl: true }])('refuses %j as options', (options) => {
    expect(() => JobHandler(defineJob('x'), options as never)).toThrow(InvalidOptionsError);
  });
});
