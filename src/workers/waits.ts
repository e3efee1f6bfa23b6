import { approvalEvent } from '../events/approval.ts';
import type { Json } from '../events/event.ts';
import type { AwaitedSignal, Wait, WaitOutcome } from '../events/job.ts';
import { isAwaited } from '../events/payload-match.ts';
import type {
  AnySignalView,
  ApprovalOptions,
  ApprovalView,
  RequestForWait,
  SignalFilter,
  SignalView,
  WaitOptions,
  WaitTimeout,
} from '../sdk/context.ts';
import { NonRetriable } from '../sdk/errors.ts';
import { toKeptJson } from './kept-json.ts';

/** A hundred years: beyond it, a date is a mistake, and soon no date at all. */
export const MAX_DELAY_MS = 100 * 365 * 24 * 3_600_000;

/** Steps and events are named in the log and in URLs. */
const MAX_NAME = 200;

/** How many signals one wait may be for. */
const MAX_AWAITED = 100;

/** One call of the context: how its wait is made, and what it gives back for how the wait ended. */
export type WaitPlan<T> = Readonly<{
  call: string;
  /** The ids of waits begin with the kind and the name. */
  kind: string;
  name: string;
  make: (id: string, at: Date) => Wait;
  read: (outcome: WaitOutcome) => T;
}>;

type Any = SignalFilter & Readonly<{ event: string }>;

export const eventWait = (
  event: string,
  { key, match, ...options }: WaitOptions = {},
): WaitPlan<SignalView | null> => ({
  call: 'waitForEvent',
  kind: 'wait',
  name: event,
  make: (id, at) => ({
    ...blank(id, 'event'),
    on: [awaited(event, { key, match })],
    ...endsOf(options, `waitForEvent("${event}")`, at),
    request: requestOf(options, id),
  }),
  read: signalView,
});

export const anyWait = (
  events: readonly Any[],
  options: WaitTimeout & Readonly<{ request?: RequestForWait }> = {},
): WaitPlan<AnySignalView | null> => ({
  call: 'waitForAny',
  kind: 'wait',
  name: namesOf(events),
  make: (id, at) => ({
    ...blank(id, 'event'),
    on: assertSeveral(events).map(({ event, ...filter }) => awaited(event, filter)),
    ...endsOf(options, 'waitForAny', at),
    request: requestOf(options, id),
  }),
  read(outcome) {
    const view = signalView(outcome);
    if (view === null) return null;
    const index = events.findIndex(
      ({ event, ...filter }) =>
        outcome.kind === 'signal' && isAwaited([awaited(event, filter)], outcome),
    );
    return { ...view, index: index === -1 ? null : index };
  },
});

export const sleepWait = (name: string, delayMs: number): WaitPlan<void> => ({
  call: 'sleep',
  kind: 'sleep',
  name,
  make: (id, at) => ({ ...blank(id, 'sleep'), until: untilOf(at, delayMs, `sleep("${name}")`) }),
  read: () => undefined,
});

export const sleepUntilWait = (name: string, time: Date | string): WaitPlan<void> => ({
  call: 'sleepUntil',
  kind: 'sleep',
  name,
  make: (id, at) => ({ ...blank(id, 'sleep'), until: dateOf(time, at, `sleepUntil("${name}")`) }),
  read: () => undefined,
});

/** Answered by a signal of this event, with the job's id as its key and `{ approved, by, comment }` as its payload. */
export const approvalWait = (
  jobId: string,
  name: string,
  { approvers, ...options }: ApprovalOptions = {},
): WaitPlan<ApprovalView | null> => ({
  call: 'approval',
  kind: 'approval',
  name,
  make(id, at) {
    const on = { event: approvalEvent(name), key: jobId };
    if (approvers !== undefined) assertApprovers(approvers, name);
    return {
      ...blank(id, 'approval'),
      on: approvers?.map((by) => ({ ...on, match: { by } })) ?? [on],
      ...endsOf(options, `approval("${name}")`, at),
      approval: { name, approvers: approvers ?? null },
    };
  },
  read: (outcome) => (outcome.kind === 'timeout' ? null : answerOf(outcome.payload)),
});

const blank = (id: string, kind: Wait['kind']): Wait => ({
  id,
  kind,
  on: [],
  until: null,
  request: null,
});

/** Only a clear yes is one. */
function answerOf(payload: Json): ApprovalView {
  const { approved, by, comment } = asObject(payload);
  return { approved: approved === true, by: textOrNull(by), comment: textOrNull(comment) };
}

const asObject = (payload: Json): Readonly<Record<string, Json | undefined>> =>
  typeof payload === 'object' && payload !== null && !Array.isArray(payload)
    ? (payload as Readonly<Record<string, Json>>)
    : {};

const textOrNull = (value: Json | undefined): string | null =>
  typeof value === 'string' ? value : null;

type Filter = Readonly<{ key?: string | undefined; match?: SignalFilter['match'] | undefined }>;

function awaited(event: string, { key, match }: Filter): AwaitedSignal {
  if (match !== undefined) assertMatch(event, match);
  return { event, key: key ?? null, ...(match === undefined ? {} : { match }) };
}

const endsOf = (
  { timeoutMs }: WaitTimeout,
  what: string,
  at: Date,
): Readonly<{ until: string | null }> => ({
  until: timeoutMs === undefined ? null : untilOf(at, timeoutMs, what),
});

const requestOf = (
  { request }: Readonly<{ request?: RequestForWait }>,
  id: string,
): Wait['request'] =>
  request === undefined
    ? null
    : { topic: request.topic, body: toKeptJson(request.body, `The request of ${id}`) };

/** The name of the place in the code, short however many there are. */
function namesOf(events: readonly Any[]): string {
  if (!Array.isArray(events) || events.length === 0) return 'nothing';
  const [first] = events as readonly Any[];
  const others = events.length - 1;
  return others === 0 ? String(first?.event) : `${String(first?.event)} or ${String(others)} more`;
}

function assertSeveral(events: readonly Any[]): readonly Any[] {
  if (!Array.isArray(events) || events.length === 0 || events.length > MAX_AWAITED) {
    throw new NonRetriable(
      `ctx.waitForAny takes a list of 1 to ${String(MAX_AWAITED)} events: [{ event, key?, match? }]`,
    );
  }
  for (const { event } of events as readonly Any[]) assertName(event, 'An event of waitForAny');
  return events as readonly Any[];
}

/** `match` is kept in the log, and compared by other programs: it holds plain values, no functions. */
function assertMatch(event: string, match: unknown): void {
  const plain =
    typeof match === 'object' &&
    match !== null &&
    Object.values(match).every((value) => value === null || SCALARS.has(typeof value));
  if (plain) return;
  throw new NonRetriable(
    `The match of a wait for "${event}" is an object of paths and values: { 'check.sha': 'abc' }`,
  );
}

const SCALARS: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

function assertApprovers(approvers: unknown, name: string): void {
  const names =
    Array.isArray(approvers) &&
    approvers.length > 0 &&
    approvers.length <= MAX_AWAITED &&
    approvers.every((one) => typeof one === 'string' && one !== '');
  if (names) return;
  throw new NonRetriable(
    `ctx.approval("${name}"): approvers is a list of 1 to ${String(MAX_AWAITED)} names`,
  );
}

/** What `waitForEvent` gives back for how the wait ended. */
function signalView(outcome: WaitOutcome): SignalView | null {
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

function dateOf(time: unknown, at: Date, what: string): string {
  const date = time instanceof Date ? time : new Date(String(time));
  const ms = date.getTime();
  if (ms - at.getTime() <= MAX_DELAY_MS) return date.toISOString();
  throw new NonRetriable(
    `${what} takes a Date or a text like 2026-01-31T09:00:00Z within the next hundred years, not ${String(time)}`,
  );
}
