import type { JsonValue, Trigger } from './trigger.ts';

/**
 * What jobs of one key do to one another; a job whose key is null stands in no line. `supersede`: the newest ends the
 * older ones. `queue`: one at a time, in request order. `limit`: so many at a time; a job that waits counts until it
 * ends. `debounce`: none starts before `quietMs` have passed without a newer one, but never later than `maxWaitMs`
 * after the first of them; the newest takes the place of those that have not started.
 */
export type ConcurrencyRule = Readonly<{ key: (trigger: Trigger) => string | null }> & Strategy;

type Strategy =
  | Readonly<{ strategy: 'supersede' | 'queue' }>
  | Readonly<{ strategy: 'limit'; limit: number }>
  | Readonly<{ strategy: 'debounce'; quietMs: number; maxWaitMs: number }>;

/** The line that a job with this key stands in. */
export function lineOf(rule: Strategy, key: string): Readonly<{ key: string }> & Strategy {
  const { strategy } = rule;
  if (strategy === 'limit') return { key, strategy, limit: rule.limit };
  if (strategy !== 'debounce') return { key, strategy };
  return { key, strategy, quietMs: rule.quietMs, maxWaitMs: rule.maxWaitMs };
}

/**
 * At most `limit` jobs of one key start within any `perMs`; the others wait in order. What counts is the first start
 * of a job: its further attempts and its runs after a wait do not. A retry by hand of a job that had ended counts anew.
 */
export type RateLimitRule = Readonly<{
  limit: number;
  perMs: number;
  /** Without it, all jobs of the workflow share one rate; a job whose key is null has none. */
  key?: (trigger: Trigger) => string | null;
}>;

/** Starts a job at certain times. What was missed while nothing ran is made up for once, with the latest time. */
export type Schedule = Readonly<{
  /** Minute, hour, day of the month, month, day of the week: `30 3 * * 1-5`. */
  cron: string;
  /** IANA name, such as `Europe/Berlin`. Default: UTC. */
  timeZone?: string;
  /** What the job has as `job.input`. */
  input?: JsonValue;
  /** Which one it is, if the workflow has several or its times are to change. Default: its cron expression. */
  name?: string;
}>;

type Definition = Readonly<{
  concurrency: ConcurrencyRule | null;
  rateLimit: RateLimitRule | null;
  schedules: readonly Schedule[];
}>;

/** What is wrong with when jobs may start, or null. Types have not looked at a definition in plain JavaScript. */
export function mistakeOfStartRules({
  concurrency,
  rateLimit,
  schedules,
}: Definition): string | null {
  return (
    (concurrency === null ? null : mistakeOfConcurrency(concurrency)) ??
    (rateLimit === null ? null : mistakeOfRateLimit(rateLimit)) ??
    mistakeOfSchedules(schedules)
  );
}

const MAX_LIMIT = 1_000;
const MAX_RATE = 100_000;
const DAY_MS = 86_400_000;
const MAX_DEBOUNCE_MS = 30 * DAY_MS;
const MAX_PERIOD_MS = 31 * DAY_MS;
const MAX_SCHEDULES = 100;

function mistakeOfConcurrency(rule: ConcurrencyRule): string | null {
  if (typeof rule?.key !== 'function') return 'concurrency.key is a function of the trigger';
  if (!Object.hasOwn(STRATEGIES, rule.strategy)) {
    return `concurrency.strategy is ${Object.keys(STRATEGIES).join(', ')}`;
  }
  return STRATEGIES[rule.strategy](rule);
}

const STRATEGIES: Readonly<
  Record<ConcurrencyRule['strategy'], (rule: Record<string, unknown>) => string | null>
> = {
  supersede: () => null,
  queue: () => null,
  limit: ({ limit }) =>
    isWholeNumber(limit, 1, MAX_LIMIT)
      ? null
      : `concurrency.limit is a whole number from 1 to ${String(MAX_LIMIT)}, not ${String(limit)}`,
  debounce: ({ quietMs, maxWaitMs }) =>
    isWholeNumber(quietMs, 1, MAX_DEBOUNCE_MS) && isWholeNumber(maxWaitMs, quietMs, MAX_DEBOUNCE_MS)
      ? null
      : 'concurrency.quietMs and maxWaitMs are whole milliseconds from 1 to 30 days, and maxWaitMs is not below quietMs',
};

function mistakeOfRateLimit({ limit, perMs, key }: RateLimitRule): string | null {
  if (!isWholeNumber(limit, 1, MAX_RATE)) {
    return `rateLimit.limit is a whole number from 1 to ${String(MAX_RATE)}, not ${String(limit)}`;
  }
  if (!isWholeNumber(perMs, 1, MAX_PERIOD_MS)) {
    return 'rateLimit.perMs is whole milliseconds from 1 to 31 days';
  }
  return key === undefined || typeof key === 'function'
    ? null
    : 'rateLimit.key is a function of the trigger';
}

function mistakeOfSchedules(schedules: readonly Schedule[]): string | null {
  if (!Array.isArray(schedules)) return 'schedules is a list';
  if (schedules.length > MAX_SCHEDULES) return `schedules are at most ${String(MAX_SCHEDULES)}`;
  for (const { cron, timeZone, name } of schedules) {
    if (!isText(cron, 100)) return 'schedules[].cron is a cron expression such as "30 3 * * 1-5"';
    if (timeZone !== undefined && !isText(timeZone, 100)) {
      return 'schedules[].timeZone is an IANA name such as "Europe/Berlin"';
    }
    if (name !== undefined && !isText(name, 100)) return 'schedules[].name has 1 to 100 characters';
  }
  const names = schedules.map(scheduleName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return twice === undefined ? null : `two schedules are called "${twice}": give them names`;
}

/** What tells a workflow's schedules apart. */
export const scheduleName = ({ name, cron }: Schedule): string => name ?? cron;

const isText = (value: unknown, max: number): boolean =>
  typeof value === 'string' && value !== '' && value.length <= max;

const isWholeNumber = (value: unknown, min: unknown, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= Number(min) && Number(value) <= max;
