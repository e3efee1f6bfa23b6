import type { Wait, WaitOutcome } from '../events/job.ts';
import { NonRetriable } from '../sdk/errors.ts';
import type { SignalView, WaitOptions } from '../sdk/workflow.ts';
import { toKeptJson } from './kept-json.ts';

/** A hundred years: beyond it, a date is a mistake, and soon no date at all. */
export const MAX_DELAY_MS = 100 * 365 * 24 * 3_600_000;

/** Steps and events are named in the log and in URLs. */
const MAX_NAME = 200;

export function eventWait(
  id: string,
  at: Date,
  { event, key, timeoutMs, request }: WaitOptions & Readonly<{ event: string }>,
): Wait {
  return {
    id,
    kind: 'event',
    on: [{ event, key: key ?? null }],
    until: timeoutMs === undefined ? null : untilOf(at, timeoutMs, `waitForEvent("${event}")`),
    request:
      request === undefined
        ? null
        : { topic: request.topic, body: toKeptJson(request.body, `The request of ${id}`) },
  };
}

export function sleepWait(id: string, at: Date, delayMs: number): Wait {
  return { id, kind: 'sleep', on: [], until: untilOf(at, delayMs, id), request: null };
}

/** What `waitForEvent` gives back for how the wait ended. */
export function signalView(outcome: WaitOutcome): SignalView | null {
  if (outcome.kind === 'timeout') return null;
  const { payload } = outcome;
  if (outcome.kind === 'manual') return { event: null, key: null, payload };
  return { event: outcome.event, key: outcome.key, payload };
}

export function assertName(name: unknown, what: string): asserts name is string {
  if (typeof name === 'string' && name !== '' && name.length <= MAX_NAME && !name.includes('\0')) {
    return;
  }
  throw new NonRetriable(
    `${what} is a text of 1 to ${String(MAX_NAME)} characters, not ${JSON.stringify(name) ?? String(name)}`,
  );
}

function untilOf(at: Date, delayMs: number, what: string): string {
  if (!(delayMs >= 0 && delayMs <= MAX_DELAY_MS)) {
    throw new NonRetriable(
      `${what} takes milliseconds from 0 to ${String(MAX_DELAY_MS)}, not ${String(delayMs)}`,
    );
  }
  return new Date(at.getTime() + Math.ceil(delayMs)).toISOString();
}
