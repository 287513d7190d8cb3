/** What a job carries: when it was sent, in milliseconds since the epoch, which job of its process it is, and filling. */
export interface Payload {
  readonly sentAt: number;
  readonly n: number;
  readonly pad: string;
}

/** Now, in milliseconds since the epoch and parts of them: the processes of a run are on one machine and have one clock. */
export const clock = (): number => performance.timeOrigin + performance.now();

/** Makes payloads that take so many bytes as JSON, as far as what they say leaves room for that. */
export class PayloadMaker {
  private next = 0;

  constructor(private readonly bytes: number) {}

  make(): Payload {
    const bare = { sentAt: clock(), n: this.next, pad: '' };
    this.next += 1;
    return { ...bare, pad: 'x'.repeat(Math.max(0, this.bytes - JSON.stringify(bare).length)) };
  }
}
