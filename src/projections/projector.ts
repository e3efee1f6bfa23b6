import type { EventStore } from '../event-store/event-store.ts';
import { Leadership } from '../event-store/leadership.ts';
import type { LogHints } from '../event-store/log-hints.ts';
import { Pace } from '../event-store/pace.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Database, Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { PROJECTIONS } from './catalog.ts';
import { readGenerations } from './generations.ts';
import { LiveProjections, type PoisonPolicy } from './live.ts';
import type { Projection } from './projection.ts';
import { rebuild } from './rebuild.ts';
import { RateMeter } from './rate-meter.ts';
import { Shares, projectorName } from './shares.ts';

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

/** How soon a process gives a projection to one that has come. */
const SHARE_MS = 1_000;

const REST_MS = 25;

/**
 * Keeps every read model up to date, through any failure of Postgres. Several processes share them out: each is kept
 * by one at a time, and by another one within seconds when that one dies.
 */
export class Projector {
  private readonly projections: readonly Projection[];
  private readonly shares: Shares;
  private readonly live: LiveProjections;
  private readonly rates: RateMeter;
  /** The page at hand. */
  private round: Promise<unknown> = Promise.resolve();

  constructor(private readonly parts: ProjectorParts) {
    this.projections = parts.projections ?? PROJECTIONS;
    this.shares = new Shares(this.projections.map(({ name }) => name));
    this.live = new LiveProjections({
      ...parts,
      projections: this.projections,
      leaders: this.shares.held,
    });
    this.rates = new RateMeter(parts.database, this.live.taken);
  }

  /** Follows the log with the projections that are its own, until `signal` aborts; the page at hand is finished first. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.follow(signal),
      ...this.projections.map((projection) => this.lead(projection, signal)),
    ]);
  }

  private async lead(projection: Projection, signal: AbortSignal): Promise<void> {
    const { databaseUrl, logger } = this.parts;
    const name = projectorName(projection.name);
    const mayTry = (database: Queryable): Promise<boolean> => this.shares.mayTake(database);
    const leadership = new Leadership({ databaseUrl, name, logger, mayTry });
    await leadership.lead(signal, async (term) => {
      const ended = new AbortController();
      const rebuilding = this.rebuildOutdated(
        projection,
        AbortSignal.any([term.signal, ended.signal]),
      );
      this.shares.held.set(projection.name, { name, epoch: term.epoch });
      this.live.lookAgain();
      try {
        await this.keep(term.signal);
      } finally {
        this.shares.held.delete(projection.name);
        this.live.lookAgain();
        ended.abort();
        await Promise.all([rebuilding, this.round]);
      }
    });
  }

  /** Until the end of the term, or until another process has too few. */
  private async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(SHARE_MS * (0.75 + Math.random() / 2), signal);
      // Without an answer, the term's own connection says whether it goes on.
      if (await this.shares.hasTooMany(this.parts.database).catch(() => false)) return;
    }
  }

  private async follow(signal: AbortSignal): Promise<void> {
    const { hints, logger } = this.parts;
    const pace = new Pace(hints, REST_MS);
    let failures = 0;
    while (!signal.aborted) {
      pace.begin();
      try {
        const round = this.live.round();
        this.round = round.catch(() => false);
        const moved = await round;
        failures = 0;
        await this.rates.store();
        await pace.next({ taken: moved ? 1 : 0, more: false }, signal);
      } catch (error) {
        failures++;
        logger.warn({ err: error, failures }, 'the projections wait for the database');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  /** A projection whose version was raised, or that is new, is built beside what is there and swapped in. */
  private async rebuildOutdated(projection: Projection, signal: AbortSignal): Promise<void> {
    const { database, store, logger } = this.parts;
    for (let failures = 0; !signal.aborted;) {
      try {
        if (!(await this.isOutdated(projection))) return;
        const { name } = projection;
        logger.info({ projection: name }, 'rebuilds what has a new version');
        await rebuild({
          names: [name],
          database,
          store,
          logger,
          signal,
          projections: [projection],
        });
        return;
      } catch (error) {
        failures++;
        logger.error({ err: error, failures }, 'a rebuild failed and will begin again');
        await pause(backoffMs(failures, { firstMs: 1_000, maxMs: 60_000 }), signal);
      }
    }
  }

  private async isOutdated({ name, version }: Projection): Promise<boolean> {
    const generations = await readGenerations(this.parts.database);
    const live = generations.find((each) => each.name === name && each.state === 'LIVE');
    const present = live?.version ?? 0;
    if (present > version) {
      this.parts.logger.error(
        { projection: name, live: present, known: version },
        'a newer program wrote this projection, which stands still: start that program, or run `jobledger projections rollback` here',
      );
    }
    return version > present;
  }
}
