/** A message of the Postgres protocol; of the first one of a client, which has no type, the type is empty. */
export interface Message {
  readonly type: string;
  readonly body: Buffer;
}

/** Cuts the bytes of one direction of a connection into messages, however they were cut into packets. */
export class MessageReader {
  private rest: Buffer = Buffer.alloc(0);

  /** @param hasStartup the first message has no type: it is a client's direction */
  constructor(private hasStartup: boolean) {}

  read(bytes: Buffer): Message[] {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    const messages: Message[] = [];
    for (;;) {
      const header = this.hasStartup ? 0 : 1;
      if (this.rest.length < header + 4) return messages;
      const end = header + this.rest.readInt32BE(header);
      if (this.rest.length < end) return messages;
      const type = this.hasStartup ? '' : String.fromCharCode(this.rest[0] ?? 0);
      messages.push({ type, body: this.rest.subarray(header + 4, end) });
      this.hasStartup = false;
      this.rest = this.rest.subarray(end);
    }
  }
}

/** The zero-terminated text at an offset, and where the next one begins. */
export function textAt(body: Buffer, offset: number): { readonly text: string; readonly next: number } {
  const end = body.indexOf(0, offset);
  const last = end === -1 ? body.length : end;
  return { text: body.toString('utf8', offset, last), next: last + 1 };
}
