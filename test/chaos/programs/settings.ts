/** What the harness tells a process of its own, in the environment. */
export interface ProcessSettings {
  readonly url: string;
  /** The file for its record. */
  readonly record: string;
  /** Jobs a second, for a producer. */
  readonly rate: number;
  readonly heartbeatIntervalMs: number;
  readonly heartbeatStaleMs: number;
  /** How long completed jobs are kept; undefined for the default. */
  readonly retentionMs: number | undefined;
  /** By how much the clock of the process is off. */
  readonly clockSkewMs: number;
}

const VARIABLE = 'CHAOS_SETTINGS';

export function settingsEnvironment(settings: ProcessSettings): Record<string, string> {
  return { [VARIABLE]: JSON.stringify(settings) };
}

export function readSettings(): ProcessSettings {
  return JSON.parse(process.env[VARIABLE] ?? '{}') as ProcessSettings;
}
