// Imported before anything else: whoever asks for the time from here on gets one that is off.
import { readSettings } from './settings.js';

/** By how much the clock of this process is off, in milliseconds. */
export const { clockSkewMs } = readSettings();

if (clockSkewMs !== 0) {
  const RealDate = Date;
  const now = () => RealDate.now() + clockSkewMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: unknown[], newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
    apply: () => new RealDate(now()).toString(),
    get: (target, key, receiver) => (key === 'now' ? now : Reflect.get(target, key, receiver)) as unknown,
  });
}
