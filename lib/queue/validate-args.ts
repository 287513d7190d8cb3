import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidJobArgsError } from '../errors/index.js';
import { formatPath } from './format-path.js';

/**
 * Puts a value through a Standard Schema. A promise is returned only when the schema returns one, so that
 * synchronous schemas cost no turn of the event loop.
 *
 * @param kind the job kind, for messages
 * @returns the schema's output, or a promise for it
 * @throws InvalidJobArgsError (or rejects with it) listing every issue; whatever the schema itself throws is
 * passed on, because it says nothing about the value
 *
 * @example
 * ```ts
 * const args = await validateArgs(SendEmail.schema, { to: 'someone@example.org' }, SendEmail.kind);
 * ```
 */
export function validateArgs<Output>(
  schema: StandardSchemaV1<unknown, Output>,
  value: unknown,
  kind?: string,
): Output | Promise<Output> {
  const result = schema['~standard'].validate(value);
  return 'then' in result ? result.then((settled) => outputOf(settled, kind)) : outputOf(result, kind);
}

function outputOf<Output>(result: StandardSchemaV1.Result<Output>, kind: string | undefined): Output {
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(({ message, path = [] }) => ({
    path: formatPath(path.map((segment) => (typeof segment === 'object' ? segment.key : segment))),
    message,
  }));
  throw new InvalidJobArgsError(issues, kind);
}
