import type { Connection, Subscription } from './connection.ts';
import { JobledgerError, isTransient, unreachable } from './errors.ts';
import { Inbox } from './inbox.ts';

/** What a stream is about, and where it stands. */
export type Source<T> = Readonly<{
  /** What to ask for now: what follows the last value that `accept` has let through. */
  request: (signal: AbortSignal) => Promise<Subscription>;
  /** The value of a message, or null for one that the reader has had. */
  accept: (data: unknown) => T | null;
  isLast: (value: T) => boolean;
}>;

export type Retry = Readonly<{
  /** How often in a row a stream may fail before it throws. Default: for ever. */
  attempts: number;
  firstDelayMs: number;
  maxDelayMs: number;
}>;

/** Told of each failure that a stream survives. */
export type OnDisconnect = (
  lost: Readonly<{ error: JobledgerError; failures: number; retryInMs: number }>,
) => void;

export type ResumeOptions = Readonly<{
  connection: Connection;
  retry: Retry;
  onDisconnect: OnDisconnect;
  /** Ends the stream, without an error. */
  signal: AbortSignal;
}>;

/** As many messages may wait for a slow reader; beyond, they are asked for again. */
const CAPACITY = 1_000;

/** Faults of the server may pass, but not often. */
const MAX_INTERNAL = 5;

/** The values of a source, over as many connections as it takes. Throws only what no other try would help against. */
export async function* resumed<T>(
  source: Source<T>,
  options: ResumeOptions,
): AsyncGenerator<T, void, undefined> {
  const { signal, retry } = options;
  let failures = 0;
  while (!signal.aborted) {
    const inbox = new Inbox(CAPACITY);
    const openedAt = performance.now();
    const stop = await open(source, inbox, options);
    try {
      if ((yield* values(source, inbox, signal)) === 'last') return;
    } finally {
      stop();
    }
    if (signal.aborted) return;
    if (inbox.error === null) continue;
    const hasWorked = inbox.hasGiven || performance.now() - openedAt > retry.maxDelayMs;
    failures = hasWorked ? 1 : failures + 1;
    await afterFailure(inbox.error, failures, options);
  }
}

async function* values<T>(
  source: Source<T>,
  inbox: Inbox,
  signal: AbortSignal,
): AsyncGenerator<T, 'last' | 'ended', undefined> {
  for (;;) {
    const messages = await inbox.take(signal);
    if (messages.length === 0) return 'ended';
    for (const message of messages) {
      const value = source.accept(message);
      if (value === null) continue;
      yield value;
      if (source.isLast(value)) return 'last';
    }
  }
}

/** Failures are the inbox's to tell. */
async function open<T>(
  source: Source<T>,
  inbox: Inbox,
  { connection, signal }: ResumeOptions,
): Promise<() => void> {
  try {
    return await connection.subscribe(await source.request(signal), inbox);
  } catch (error) {
    inbox.end(error instanceof JobledgerError ? error : unreachable(String(error), error));
    return () => {};
  }
}

async function afterFailure(
  error: JobledgerError,
  failures: number,
  { retry, onDisconnect, signal }: ResumeOptions,
): Promise<void> {
  const attempts =
    error.code === 'INTERNAL' ? Math.min(MAX_INTERNAL, retry.attempts) : retry.attempts;
  if (!isTransient(error) || failures > attempts) throw error;
  const retryInMs = delayMs(failures, retry);
  onDisconnect({ error, failures, retryInMs });
  await pause(retryInMs, signal);
}

/** Doubles per failure, of which a random half is taken off: clients that lost a server do not come back together. */
function delayMs(failures: number, { firstDelayMs, maxDelayMs }: Retry): number {
  const full = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(full * (0.5 + Math.random() / 2));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

/**
 * Starts a stream that ends with the first of the signals, and as soon as its reader goes: a generator alone would
 * wait for the next value first.
 */
export function endable<T>(
  signals: readonly (AbortSignal | undefined)[],
  start: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
): AsyncIterableIterator<T> {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
    for (const signal of signals) signal?.removeEventListener('abort', abort);
  };
  for (const signal of signals) {
    if (signal?.aborted === true) controller.abort();
    else signal?.addEventListener('abort', abort);
  }
  const stream = start(controller.signal);
  return {
    next: async () => {
      try {
        const result = await stream.next();
        if (result.done === true) abort();
        return result;
      } catch (error) {
        abort();
        throw error;
      }
    },
    return: () => {
      abort();
      return stream.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
