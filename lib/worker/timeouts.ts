import type { JobDefinition } from '../jobs/index.js';
import type { InstanceTimeouts } from '../storage/operations/instances.js';

/** How long attempts may take in this process, in milliseconds: what a job's definition says goes before what its queue says. */
export class Timeouts {
  private readonly kinds: ReadonlyMap<string, number>;
  private readonly queues: ReadonlyMap<string, number>;

  constructor(
    queues: readonly { readonly name: string; readonly timeoutMs: number }[],
    definitions: readonly Pick<JobDefinition, 'kind' | 'timeout'>[],
  ) {
    this.queues = new Map(
      queues.flatMap(({ name, timeoutMs }) => (timeoutMs > 0 ? [[name, timeoutMs]] : [])),
    );
    this.kinds = new Map(
      definitions.flatMap(({ kind, timeout }) => (timeout === undefined ? [] : [[kind, timeout]])),
    );
  }

  /** Undefined: for ever. */
  of({ kind, queue }: { readonly kind: string; readonly queue: string }): number | undefined {
    const timeoutMs = this.kinds.get(kind) ?? this.queues.get(queue) ?? 0;
    return timeoutMs > 0 ? timeoutMs : undefined;
  }

  /** For others, who end what this process does not. Undefined when there are none. */
  toRegister(): InstanceTimeouts | undefined {
    if (this.queues.size === 0 && ![...this.kinds.values()].some((timeoutMs) => timeoutMs > 0))
      return undefined;
    return { kinds: Object.fromEntries(this.kinds), queues: Object.fromEntries(this.queues) };
  }
}
