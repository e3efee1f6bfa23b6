import { setImmediate } from 'node:timers/promises';

import { backoffMs, pause } from '../platform/backoff.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { DedicatedConnection } from './dedicated-connection.ts';
import { AppendUncertain } from './event-store.ts';
import { type Entry, LaneQueue } from './lane-queue.ts';
import { endsConnection, isTransient } from './postgres-errors.ts';

export type LaneOptions<Item, Result> = Readonly<{
  databaseUrl: string;
  /** In logs, and in the connection's application name. */
  name: string;
  logger: Logger;
  /**
   * Sends a batch in one statement, and answers for each item in order. It must be repeatable: after a lost
   * connection the same items are sent again, as nobody can know whether they were stored.
   */
  call: (connection: Queryable, items: readonly Item[]) => Promise<readonly Result[]>;
  /** Items with a key in common are never sent together, and go in the order they came. Default: none. */
  keysOf?: (item: Item) => readonly string[];
  /** How many rows and bytes an item adds to a call. Default: one row, no bytes. */
  sizeOf?: (item: Item) => Readonly<{ rows: number; bytes: number }>;
  /** Per call; default 512 rows and 1 MB. A larger item goes by itself. */
  maxRows?: number;
  maxBytes?: number;
  /** How many connections take turns; default 1. */
  connections?: number;
  /** After so long without an answer an item is rejected with `AppendUncertain`; default 2 s. */
  deadlineMs?: number;
  /** Default 1 s: then the lock is waited for anew, until the deadline. */
  lockTimeoutMs?: number;
  /** Default 5 s. */
  statementTimeoutMs?: number;
}>;

type Settings<Item, Result> = Required<LaneOptions<Item, Result>>;

/**
 * Carries statements to Postgres over a dedicated connection with natural batching: what queued up while the last
 * call was in flight goes in the next. No timer, so a lone item costs one round trip. It connects by itself, sends
 * the same batch again after any loss of the connection, and finds the item whose data Postgres refuses, so that
 * the others of its batch don't fail with it.
 */
export class Lane<Item, Result> {
  private readonly settings: Settings<Item, Result>;
  private readonly queue = new LaneQueue<Entry<Item, Result>>();
  private readonly tracks: Track<Item, Result>[];
  private readonly closing = new AbortController();
  private expiry: NodeJS.Timeout | undefined;
  private lastFailure: unknown;

  constructor(options: LaneOptions<Item, Result>) {
    this.settings = {
      keysOf: () => [],
      sizeOf: () => ({ rows: 1, bytes: 0 }),
      maxRows: 512,
      maxBytes: 1024 * 1024,
      connections: 1,
      deadlineMs: 2_000,
      lockTimeoutMs: 1_000,
      statementTimeoutMs: 5_000,
      ...options,
    };
    this.tracks = Array.from({ length: this.settings.connections }, () => ({
      running: null,
      batch: [],
      failures: 0,
    }));
  }

  /** How many items wait to be sent. */
  get waiting(): number {
    return this.queue.waitingCount;
  }

  /**
   * Resolves with the answer to this item. Rejects with `AppendUncertain` after the deadline, and with the
   * server's error when it refuses this item's data.
   */
  submit(item: Item): Promise<Result> {
    if (this.closing.signal.aborted) {
      return Promise.reject(new Error(`The lane ${this.settings.name} is closed`));
    }
    return new Promise((resolve, reject) => {
      this.queue.push({
        item,
        keys: this.settings.keysOf(item),
        ...this.settings.sizeOf(item),
        expiresAt: performance.now() + this.settings.deadlineMs,
        resolve,
        reject,
        settled: false,
      });
      this.expiry ??= this.expireIn(this.settings.deadlineMs);
      this.start();
    });
  }

  /** Takes no more items, answers those it has, and hangs up. Ends by the deadline of the last one. */
  async close(): Promise<void> {
    this.closing.abort();
    for (const { running } of this.tracks) await running;
    clearTimeout(this.expiry);
    for (const { connection } of this.tracks) await connection?.close();
  }

  /** Sets an idle track going; a second one only when more waits than one call may carry. */
  private start(): void {
    const idle = this.tracks.find(({ running }) => running === null);
    if (!idle) return;
    const busy = this.tracks.some(({ running }) => running !== null);
    if (busy && this.queue.waitingCount < this.settings.maxRows) return;
    idle.running = this.run(idle);
  }

  private async run(track: Track<Item, Result>): Promise<void> {
    for (;;) {
      // Lets everybody who was just answered queue the next item first.
      await setImmediate();
      const batch = this.queue.take(this.settings);
      if (batch.length === 0) {
        // In the same tick as the look at the queue: what comes a moment later must find an idle track.
        track.running = null;
        return;
      }
      await this.send(track, batch);
    }
  }

  private async send(
    track: Track<Item, Result>,
    batch: readonly Entry<Item, Result>[],
  ): Promise<void> {
    try {
      const results = await this.call(track, batch);
      this.queue.land(batch);
      for (const [index, entry] of batch.entries()) {
        settle(entry, () => {
          entry.resolve(results[index] as Result);
        });
      }
      track.failures = 0;
    } catch (error) {
      if (error instanceof Unreached) await this.tryAgain(track, batch, error);
      else await this.isolate(track, batch, error);
    }
  }

  private async tryAgain(
    track: Track<Item, Result>,
    batch: readonly Entry<Item, Result>[],
    error: Unreached,
  ): Promise<void> {
    track.failures = track.failures + 1;
    this.lastFailure = error.cause;
    const { logger, name } = this.settings;
    logger.warn({ err: error.cause, lane: name, items: batch.length }, 'a batch is sent again');
    this.queue.putBack(batch);
    await pause(backoffMs(track.failures, { firstMs: 10, maxMs: 250 }), NEVER);
  }

  /** One of them is bad: each half is sent by itself, down to that one. */
  private async isolate(
    track: Track<Item, Result>,
    batch: readonly Entry<Item, Result>[],
    error: unknown,
  ): Promise<void> {
    const [first] = batch;
    if (batch.length === 1 && first) {
      this.queue.land(batch);
      settle(first, () => {
        first.reject(error);
      });
      return;
    }
    const middle = Math.ceil(batch.length / 2);
    await this.send(track, batch.slice(0, middle));
    await this.send(track, batch.slice(middle));
  }

  private async call(
    track: Track<Item, Result>,
    batch: readonly Entry<Item, Result>[],
  ): Promise<readonly Result[]> {
    const connection = await this.connect(track);
    track.batch = batch;
    try {
      const results = await this.settings.call(
        connection,
        batch.map(({ item }) => item),
      );
      if (results.length !== batch.length) {
        throw new Error(`${String(batch.length)} items got ${String(results.length)} answers`);
      }
      return results;
    } catch (error) {
      if (endsConnection(error)) connection.destroy();
      if (connection.lost.aborted || isTransient(error)) throw new Unreached(error);
      throw error;
    } finally {
      track.batch = [];
    }
  }

  private async connect(track: Track<Item, Result>): Promise<DedicatedConnection> {
    if (track.connection && !track.connection.lost.aborted) return track.connection;
    const { databaseUrl, name, lockTimeoutMs, statementTimeoutMs } = this.settings;
    try {
      track.connection = await DedicatedConnection.open(databaseUrl, name, {
        lock_timeout: `${String(lockTimeoutMs)}ms`,
        statement_timeout: `${String(statementTimeoutMs)}ms`,
      });
      return track.connection;
    } catch (error) {
      throw new Unreached(error);
    }
  }

  private expireIn(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.expire();
      const next = this.queue.nextExpiry();
      this.expiry =
        next === undefined ? undefined : this.expireIn(Math.max(1, next - performance.now()));
    }, ms);
  }

  private expire(): void {
    const { deadlineMs, name } = this.settings;
    for (const entry of this.queue.expired(performance.now())) {
      const message = `${name}: no answer within ${String(deadlineMs)} ms`;
      settle(entry, () => {
        entry.reject(new AppendUncertain(message, { cause: this.lastFailure }));
      });
    }
    for (const { batch, connection } of this.tracks) {
      // Nobody waits for this answer any more: a server out of reach must not hold up what comes next.
      if (batch.length > 0 && batch.every(({ settled }) => settled)) connection?.destroy();
    }
  }
}

/** One connection of a lane, and what runs on it. */
type Track<Item, Result> = {
  running: Promise<void> | null;
  batch: readonly Entry<Item, Result>[];
  connection?: DedicatedConnection;
  failures: number;
};

/** The batch did not get through, or got no answer: it is to be sent again. */
class Unreached extends Error {
  constructor(override readonly cause: unknown) {
    super('Postgres was not reached');
  }
}

const NEVER = new AbortController().signal;

function settle(entry: { settled: boolean }, answer: () => void): void {
  if (entry.settled) return;
  entry.settled = true;
  answer();
}
