import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { checkTraces } from '../model/trace-check/check-traces.js';
import type { JobRules } from '../model/trace-check/job-rules.js';
import { Arena } from './arena.js';
import { check } from './checker.js';
import type { Ground } from './ground.js';
import { recorderNow } from './record.js';
import type { Form, Scenario } from './scenario.js';
import { rateBetween, worstRate } from './throughput.js';

/** The rate before has to be back after so long, in milliseconds. */
const RECOVERY_LIMIT_MS = 10_000;
/** And stay: of the rate before, so much in the mean of the time after. */
const LEAST_RATIO = 0.85;

/** What a run of a scenario has shown. */
export interface ScenarioReport {
  readonly name: string;
  /** Successes a second before the fault. */
  readonly before: number;
  /** Of the worst second from the beginning of the fault to the recovery. */
  readonly worst: number;
  /** Milliseconds; undefined: not within the limit. */
  readonly recoveryMs: number | undefined;
  readonly ratio: number;
  readonly jobs: number;
  readonly attempts: number;
  /** Events of jobs that were compared with the model of attempts. */
  readonly events: number;
  readonly notes: readonly string[];
  readonly problems: readonly string[];
  /** Where records and logs are; removed when nothing is wrong. */
  readonly directory: string;
}

/**
 * Load, fault, recovery, quiet; then the checker, and the comparison of each job's events with the model.
 *
 * @param rules what a job can do, by the model of attempts
 */
export async function runScenario(
  scenario: Scenario,
  form: Form,
  ground: Ground,
  rate: number,
  rules: JobRules,
): Promise<ScenarioReport> {
  const directory = await mkdtemp(join(tmpdir(), `chaos-${scenario.name}-`));
  const database = `chaos_${scenario.name.replaceAll('-', '_')}`;
  const { workers = 3, retentionMs, burnsNoAttempt = false } = scenario;
  const options = { directory, rate, workers, retentionMs };
  const arena = new Arena(ground, await ground.createDatabase(database), options);
  const problems: string[] = [];
  let before = 0;
  let worst = Number.NaN;
  let recoveryMs: number | undefined;
  let ratio = Number.NaN;
  let events = 0;
  try {
    await arena.open();
    before = await arena.steady(form.pick(2_500, 10_000));
    const faultStart = recorderNow();
    await scenario.fault(arena, form);
    const faultEnd = recorderNow();
    recoveryMs = await arena.recovered(before, faultEnd, RECOVERY_LIMIT_MS);
    if (recoveryMs === undefined)
      problems.push(`less than 95 % of ${before.toFixed(0)} jobs/s after ${RECOVERY_LIMIT_MS / 1_000} s`);
    const backAt = faultEnd + (recoveryMs ?? RECOVERY_LIMIT_MS);
    await delay(Math.max(backAt + form.pick(3_000, 15_000) - recorderNow(), 0));
    const after = recorderNow();
    // What is not quiet then never will be; the checker names the jobs.
    await arena.quiet(form.pick(30_000, 90_000)).catch((error: unknown) => problems.push(describe(error)));
    worst = worstRate(arena.history.successes, faultStart, backAt);
    ratio = rateBetween(arena.history.successes, backAt, after) / before;
    if (recoveryMs !== undefined && ratio < LEAST_RATIO)
      problems.push(`${(ratio * 100).toFixed(0)} % of the throughput after the recovery`);
    const facts = await arena.facts();
    problems.push(...check(arena.history, facts, { isKept: retentionMs === undefined, burnsNoAttempt }));
    const traces = checkTraces(rules, arena.history, facts);
    events = traces.events;
    problems.push(...traces.problems);
  } catch (error) {
    problems.push(describe(error));
  }
  await arena.close();
  problems.push(...new Set(arena.problems));
  if (problems.length === 0) await rm(directory, { recursive: true, force: true });
  await ground.dropDatabase(database).catch(() => undefined);
  const { jobs } = arena.history;
  let attempts = 0;
  for (const job of jobs.values()) attempts += job.attempts.size;
  const { notes } = arena;
  return {
    name: scenario.name,
    before,
    worst,
    recoveryMs,
    ratio,
    jobs: jobs.size,
    attempts,
    events,
    notes,
    problems,
    directory,
  };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}
