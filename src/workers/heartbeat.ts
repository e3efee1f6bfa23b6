import { hostname } from 'node:os';

import { backoffMs, pause } from '../platform/backoff.ts';
import type { Queryable } from '../platform/database.ts';
import { newId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { ABORTED, linked, manyListeners, onAbort, orAborted, within } from './abort.ts';

/** The right to run jobs under this id, for as long as the heartbeat reaches the database. */
export type Lease = Readonly<{ workerId: string; lost: AbortSignal }>;

export type HeartbeatOptions = Readonly<{
  database: Queryable;
  logger: Logger;
  leaseMs: number;
  concurrency: number;
  /** How many jobs run now. */
  running: () => number;
  version: string;
  host?: string;
}>;

/** So much of a lease may pass between two beats. */
const BEATS_PER_LEASE = 3;

/**
 * Keeps this worker's row in `dispatch.workers`, by which the others know that its jobs are in hand. A row that could
 * not be written for a lease is given up with all that runs under it: the others have the right to interrupt it. What
 * comes after has a new id, for jobs of the old one are nobody's, however alive this process is.
 */
export class Heartbeat {
  private held: Lease | null = null;
  private draining = false;
  private readonly waiting = new Set<() => void>();
  private hurry: () => void = () => {};
  private readonly startedAt = new Date();

  constructor(private readonly options: HeartbeatOptions) {}

  get lease(): Lease | null {
    return this.held;
  }

  /** The lease, as soon as there is one; null when the signal aborts first. */
  whenHeld(signal: AbortSignal): Promise<Lease | null> {
    if (signal.aborted || this.held !== null) {
      return Promise.resolve(signal.aborted ? null : this.held);
    }
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        unlisten();
        resolve(signal.aborted ? null : this.held);
      };
      this.waiting.add(wake);
      const unlisten = onAbort(signal, wake);
    });
  }

  /** Lets the row say that this worker takes no more. */
  drain(): void {
    this.draining = true;
    this.hurry();
  }

  /** Beats until the signal aborts, then takes the row away. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const workerId = newId();
      const registeredAt = await this.register(workerId, signal);
      if (registeredAt !== null) await this.keep(workerId, registeredAt, signal);
    }
  }

  private async register(workerId: string, signal: AbortSignal): Promise<number | null> {
    for (let tries = 1; !signal.aborted; tries++) {
      const at = performance.now();
      if (await this.beat(workerId, this.options.leaseMs, signal)) return at;
      await pause(backoffMs(tries), signal);
    }
    return null;
  }

  private async keep(workerId: string, registeredAt: number, signal: AbortSignal): Promise<void> {
    const { leaseMs, logger } = this.options;
    const lost = manyListeners(new AbortController());
    this.held = { workerId, lost: lost.signal };
    for (const wake of this.waiting) wake();
    logger.info({ workerId }, 'the worker is registered');

    const isLost = await this.beatOn(workerId, registeredAt, signal);
    this.held = null;
    if (isLost) {
      logger.error({ workerId, leaseMs }, 'no heartbeat for a whole lease: dropping all jobs');
      lost.abort(new Error('its worker could not reach the database for a whole lease'));
    } else {
      await this.remove(workerId);
    }
  }

  /** Beats until the signal aborts or the lease is over; whether it is over. */
  private async beatOn(workerId: string, since: number, signal: AbortSignal): Promise<boolean> {
    const { leaseMs } = this.options;
    const everyMs = leaseMs / BEATS_PER_LEASE;
    let beatAt = since;
    let failures = 0;
    while (!signal.aborted) {
      const leftMs = beatAt + leaseMs - performance.now();
      const waitMs = failures === 0 ? everyMs : backoffMs(failures, { maxMs: everyMs });
      await this.pauseBetween(Math.min(waitMs, leftMs), signal);
      if (signal.aborted) return false;
      const at = performance.now();
      // A process that stood still for a lease has lost it too, whatever the next beat says.
      if (at >= beatAt + leaseMs) return true;
      if (await this.beat(workerId, beatAt + leaseMs - at, signal)) {
        beatAt = at;
        failures = 0;
      } else {
        failures++;
      }
    }
    return false;
  }

  private async pauseBetween(ms: number, signal: AbortSignal): Promise<void> {
    const { signal: woken, abort, unlink } = linked(signal);
    this.hurry = abort;
    await pause(Math.max(ms, 0), woken);
    unlink();
  }

  /** Writes the row; whether that was done within the time and before the abort. */
  private async beat(workerId: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const { database, running, concurrency, version, host = hostname(), logger } = this.options;
    try {
      const written = database.query(sql`
        insert into dispatch.workers
          (id, host, started_at, last_seen_at, running, concurrency, draining, version)
        values (${workerId}, ${host}, ${this.startedAt}, clock_timestamp(), ${running()},
          ${concurrency}, ${this.draining}, ${version})
        on conflict (id) do update set last_seen_at = excluded.last_seen_at,
          running = excluded.running, draining = excluded.draining`);
      const done = await orAborted(within(written, timeoutMs), signal);
      if (done === ABORTED || done) return done === true;
      logger.warn({ workerId, timeoutMs }, 'a heartbeat got no answer');
    } catch (error) {
      logger.warn({ err: error, workerId }, 'a heartbeat failed');
    }
    return false;
  }

  private async remove(workerId: string): Promise<void> {
    const { database, logger } = this.options;
    try {
      await within(
        database.query(sql`delete from dispatch.workers where id = ${workerId}`),
        REMOVE_WITHIN_MS,
      );
    } catch (error) {
      logger.warn({ err: error, workerId }, 'the row of this worker stays until its lease is over');
    }
  }
}

const REMOVE_WITHIN_MS = 2_000;
