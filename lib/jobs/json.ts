/**
 * Anything JSON can hold.
 *
 * @publicApi
 */
export type JsonValue =
  string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * Stands in a type for a value that JSON would lose or change. It is never satisfied; its text is what the
 * compiler shows next to the offending property.
 */
export interface NotJson<Reason extends string> {
  readonly ' not JSON': Reason;
}

/**
 * `T` itself when JSON brings it back as it was, otherwise `T` with every offending part replaced by an
 * unsatisfiable type that names the reason. `unknown` and `any` pass: they are checked when they are enqueued.
 *
 * Optional properties are fine (JSON leaves them out). A `Date` is refused because it comes back as a string:
 * take an ISO string as input, and let the schema turn it into a `Date` for the handler.
 *
 * @example
 * ```ts
 * type Ok = JsonSafe<{ id: string; tags?: string[] }>; // the same type
 * type No = JsonSafe<{ id: bigint }>; // { id: NotJson<'bigint: …'> }
 * ```
 *
 * @publicApi
 */
export type JsonSafe<T> = [T] extends [JsonValue]
  ? T
  : unknown extends T
    ? T
    : T extends string | number | boolean | null | undefined
      ? T
      : T extends bigint
        ? NotJson<'bigint: pass a decimal string'>
        : T extends symbol
          ? NotJson<'symbol: leave it out'>
          : T extends (...args: never[]) => unknown
            ? NotJson<'function: leave it out'>
            : T extends Date
              ? NotJson<'Date: pass an ISO string and let the schema turn it into a Date'>
              : T extends ReadonlyMap<unknown, unknown>
                ? NotJson<'Map: pass an object or an array of entries'>
                : T extends ReadonlySet<unknown>
                  ? NotJson<'Set: pass an array'>
                  : T extends ArrayBuffer | ArrayBufferView
                    ? NotJson<'binary data: pass a base64 string'>
                    : T extends PromiseLike<unknown>
                      ? NotJson<'promise: await it first'>
                      : T extends void
                        ? NotJson<'void: pass null or {}'>
                        : { [Key in keyof T]: JsonSafe<T[Key]> };
