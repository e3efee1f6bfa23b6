import type { EventStore } from '../event-store/event-store.ts';
import { Leadership, type Term } from '../event-store/leadership.ts';
import type { LogHints } from '../event-store/log-hints.ts';
import { PollDelay } from '../event-store/log-page.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Database } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { PROJECTIONS } from './catalog.ts';
import { readGenerations } from './generations.ts';
import { LiveProjections, type PoisonPolicy } from './live.ts';
import type { Projection } from './projection.ts';
import { LeadershipLost } from './reader.ts';
import { rebuild } from './rebuild.ts';
import { RateMeter } from './rate-meter.ts';

/** Names the lock and the epoch of whoever keeps the read models. */
export const PROJECTOR = 'projections';

export type ProjectorParts = Readonly<{
  database: Database;
  /** For the connection that holds the lock; no pooler in between. */
  databaseUrl: string;
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  logger: Logger;
  projections?: readonly Projection[];
  pageSize?: number;
  poison?: Partial<PoisonPolicy>;
}>;

/** Keeps every read model up to date, in one process at a time, through any failure of Postgres. */
export class Projector {
  private readonly leadership: Leadership;
  private readonly projections: readonly Projection[];

  constructor(private readonly parts: ProjectorParts) {
    const { databaseUrl, logger } = parts;
    this.leadership = new Leadership({ databaseUrl, name: PROJECTOR, logger });
    this.projections = parts.projections ?? PROJECTIONS;
  }

  /** Follows the log whenever it leads, until `signal` aborts; then the page at hand is finished first. */
  async run(signal: AbortSignal): Promise<void> {
    await this.leadership.lead(signal, async (term) => {
      const ended = new AbortController();
      const rebuilding = this.rebuildOutdated(AbortSignal.any([term.signal, ended.signal]));
      try {
        await this.follow(term);
      } finally {
        ended.abort();
        await rebuilding;
      }
    });
  }

  private async follow({ epoch, signal }: Term): Promise<void> {
    const { database, hints, logger } = this.parts;
    const leader = { name: PROJECTOR, epoch };
    const live = new LiveProjections({ ...this.parts, projections: this.projections, leader });
    const rates = new RateMeter(database, live.taken);
    const delay = new PollDelay();
    let failures = 0;
    while (!signal.aborted) {
      const { heard } = hints;
      try {
        const moved = await live.round();
        failures = 0;
        await rates.store();
        const waitMs = delay.next(moved);
        if (!moved) await hints.wait(waitMs, signal, heard);
      } catch (error) {
        if (error instanceof LeadershipLost) return;
        failures++;
        logger.warn({ err: error, failures }, 'the projections wait for the database');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  /** A projection whose version was raised, or that is new, is built beside what is there and swapped in. */
  private async rebuildOutdated(signal: AbortSignal): Promise<void> {
    const { database, store, logger } = this.parts;
    for (let failures = 0; !signal.aborted;) {
      try {
        const names = await this.outdated();
        if (names.length === 0) return;
        logger.info({ projections: names }, 'rebuilds what has a new version');
        await rebuild({ names, database, store, logger, signal, projections: this.projections });
        return;
      } catch (error) {
        failures++;
        logger.error({ err: error, failures }, 'a rebuild failed and will begin again');
        await pause(backoffMs(failures, { firstMs: 1_000, maxMs: 60_000 }), signal);
      }
    }
  }

  private async outdated(): Promise<readonly string[]> {
    const live = new Map(
      (await readGenerations(this.parts.database))
        .filter(({ state }) => state === 'LIVE')
        .map(({ name, version }) => [name, version]),
    );
    for (const { name, version } of this.projections) {
      const present = live.get(name) ?? 0;
      if (present > version) {
        this.parts.logger.error(
          { projection: name, live: present, known: version },
          'a newer program wrote this projection, which stands still: start that program, or run `jobledger projections rollback` here',
        );
      }
    }
    return this.projections
      .filter(({ name, version }) => version > (live.get(name) ?? 0))
      .map(({ name }) => name);
  }
}
