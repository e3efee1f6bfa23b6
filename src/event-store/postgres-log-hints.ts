import { once } from 'node:events';

import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { DedicatedConnection } from './dedicated-connection.ts';
import { LocalLogHints, type LogHints } from './log-hints.ts';

/** At most one NOTIFY per so long per process: its commit takes a lock that the whole cluster shares. */
const NOTIFY_EVERY_MS = 20;

/**
 * Hints between processes by NOTIFY and LISTEN on a connection of their own, never in an append. Listens only once
 * somebody waits. While the connection is away, hints within the process go on and readers poll.
 */
export class PostgresLogHints implements LogHints {
  private readonly local = new LocalLogHints();
  private connection: DedicatedConnection | undefined;
  private listenWanted = false;
  private notifiedAt = -Infinity;
  private notifyTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly options: Readonly<{
      databaseUrl: string;
      logger: Logger;
      applicationName?: string;
    }>,
  ) {}

  get heard(): number {
    return this.local.heard;
  }

  announce(): void {
    this.local.announce();
    if (!this.connection || this.notifyTimer) return;
    const wait = this.notifiedAt + NOTIFY_EVERY_MS - performance.now();
    if (wait <= 0) this.notify();
    else {
      this.notifyTimer = setTimeout(() => {
        this.notify();
      }, wait);
    }
  }

  wait(timeoutMs: number, signal: AbortSignal, since?: number): Promise<void> {
    if (!this.listenWanted) {
      this.listenWanted = true;
      void this.listen();
    }
    return this.local.wait(timeoutMs, signal, since);
  }

  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.serve(signal);
        failures = 0;
      } catch (error) {
        this.options.logger.warn({ err: error }, 'no hints from Postgres: readers poll');
      }
      failures++;
      if (!signal.aborted) await pause(backoffMs(failures, { maxMs: 2_000 }), signal);
    }
  }

  /** Until the connection is lost or `signal` aborts. */
  private async serve(signal: AbortSignal): Promise<void> {
    const { databaseUrl, applicationName = 'hints' } = this.options;
    const connection = await DedicatedConnection.open(databaseUrl, applicationName, {
      // A hint is worth no wait for the disk.
      synchronous_commit: 'off',
    });
    const hangUp = (): void => {
      void connection.close();
    };
    signal.addEventListener('abort', hangUp);
    if (signal.aborted) hangUp();
    try {
      connection.onNotification((own) => {
        // Its own hints were heard in this process when they were announced.
        if (!own) this.local.announce();
      });
      this.connection = connection;
      await this.listen();
      if (!connection.lost.aborted) await once(connection.lost, 'abort');
    } finally {
      signal.removeEventListener('abort', hangUp);
      this.connection = undefined;
      clearTimeout(this.notifyTimer);
      this.notifyTimer = undefined;
    }
  }

  private async listen(): Promise<void> {
    const { connection } = this;
    if (!connection || !this.listenWanted) return;
    try {
      await connection.query(sql`listen jobledger_log`);
      // What was notified before that is lost: let everybody look for themselves.
      this.local.announce();
    } catch {
      // Without LISTEN this connection is of no use; `run` opens the next one.
      connection.destroy();
    }
  }

  private notify(): void {
    this.notifyTimer = undefined;
    this.notifiedAt = performance.now();
    this.connection?.query(sql`notify jobledger_log`).catch(() => {
      // The connection is gone, and a lost hint costs a poll.
    });
  }
}
