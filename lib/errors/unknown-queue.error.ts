import { AwaError } from './awa-error.js';

/**
 * A queue was named that is not configured.
 *
 * @publicApi
 */
export class UnknownQueueError extends AwaError {
  /** The queue that was asked for. */
  readonly queue: string;

  static {
    this.prototype.name = 'UnknownQueueError';
  }

  /** @param known the configured queues, to show what could have been meant */
  constructor(queue: string, known: readonly string[] = []) {
    const configured = known.length === 0 ? 'none' : known.map((name) => `"${name}"`).join(', ');
    super(
      'AWA_UNKNOWN_QUEUE',
      `Queue "${queue}" is not configured: add it to the module option "queues" or correct its name (configured: ${configured}).`,
    );
    this.queue = queue;
  }
}
