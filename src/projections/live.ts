import { CheckpointLost } from '../event-store/checkpoint.ts';
import type { EventStore } from '../event-store/event-store.ts';
import type { Recorded } from '../events/event.ts';
import { backoffMs } from '../platform/backoff.ts';
import type { Database } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { isKnown } from './catalog.ts';
import { type Generation, readGenerations } from './generations.ts';
import { ProjectionFault } from './projection-fault.ts';
import { projectPage } from './page.ts';
import type { Projection } from './projection.ts';
import { recordPoison } from './poison.ts';
import { type Leader, LeadershipLost, claim } from './claim.ts';
import { type Reader, groupByPosition } from './reader.ts';

export type LiveOptions = Readonly<{
  database: Database;
  store: EventStore;
  logger: Logger;
  projections: readonly Projection[];
  /**
   * The right to lead, by projection: none is claimed once somebody has raised its epoch, and those that are not
   * there are left to others. Without it all are followed, and nobody else may lead.
   */
  leaders?: Map<string, Leader>;
  pageSize?: number;
  poison?: Partial<PoisonPolicy>;
}>;

/**
 * How often an event that a projection cannot take is tried, the pauses between, and what then becomes of it: the
 * projection stops before it, or its stream is set aside and the projection goes on with all others.
 */
export type PoisonPolicy = Readonly<{
  tries: number;
  firstMs: number;
  maxMs: number;
  policy: 'pause' | 'quarantine';
}>;

const POISON: PoisonPolicy = { tries: 5, firstMs: 1_000, maxMs: 60_000, policy: 'pause' };
const PAGE_SIZE = 1_000;
/** How soon a projection that was resumed, or rebuilt by another process, is followed. */
const REFRESH_MS = 1_000;

/** A live reader, and what stands in its way. */
type Live = Reader & {
  /** How many events it takes at once; fewer while one among them is sought that it cannot take. */
  limit: number;
  failures: number;
  retryAt: number;
};

const isOpen = ({ version, paused, error }: Generation, known: number): boolean =>
  version === known && !paused && error === null;

/** Keeps the live generation of every projection up to date. One round at a time. */
export class LiveProjections {
  private readers: readonly Live[] = [];
  private refreshAt = 0;
  /** Whether it is not known where the readers stand, and who may move them. */
  private lost = true;
  private readonly pageSize: number;
  private readonly poison: PoisonPolicy;
  /** Events of types that this program does not know, passed over since the start. */
  unknownEvents = 0;
  /** Events that each projection has taken since the start. */
  readonly taken = new Map<string, number>();

  constructor(private readonly options: LiveOptions) {
    this.pageSize = options.pageSize ?? PAGE_SIZE;
    this.poison = { ...POISON, ...options.poison };
  }

  /**
   * Takes one page at each place where projections stand, and says whether there was any. Throws what the database
   * or the network did; the fault of a projection stops that one alone.
   */
  async round(): Promise<boolean> {
    if (this.lost || performance.now() >= this.refreshAt) await this.refresh();
    let moved = false;
    for (const group of this.groups()) {
      moved = (await this.advance(group.readers as readonly Live[], group.upTo)) || moved;
    }
    return moved;
  }

  private groups(): ReturnType<typeof groupByPosition> {
    const now = performance.now();
    const ready = this.readers.filter(({ retryAt }) => retryAt <= now);
    const ailing = ready.filter(({ limit, failures }) => limit < this.pageSize || failures > 0);
    const healthy = ready.filter((reader) => !ailing.includes(reader));
    return [...groupByPosition(healthy), ...ailing.flatMap((reader) => groupByPosition([reader]))];
  }

  private async advance(readers: readonly Live[], upTo: bigint | null): Promise<boolean> {
    const [first] = readers;
    if (!first) return false;
    const { limit, position } = first;
    const page = await this.options.store.readAll({
      after: position,
      limit,
      ...(upTo === null ? {} : { upTo }),
    });
    if (page.length === 0) return false;
    try {
      await projectPage(this.options.database, readers, page);
      this.succeeded(readers, page);
    } catch (error) {
      await this.failed(error);
    }
    return true;
  }

  private succeeded(readers: readonly Live[], page: readonly Recorded[]): void {
    for (const reader of readers) {
      reader.limit = Math.min(this.pageSize, reader.limit * 2);
      reader.failures = 0;
      const { name } = reader.projection;
      this.taken.set(name, (this.taken.get(name) ?? 0) + page.length);
    }
    const unknown = page.filter((event) => !isKnown(event));
    if (unknown.length === 0) return;
    this.unknownEvents += unknown.length;
    this.options.logger.warn(
      { types: [...new Set(unknown.map(({ type }) => type))], events: unknown.length },
      'passed over events of unknown types: a newer program writes to this log',
    );
  }

  private async failed(error: unknown): Promise<void> {
    // Whatever was committed or not, the checkpoints in the database say where to go on.
    this.lost = true;
    this.refreshAt = 0;
    if (error instanceof CheckpointLost) return;
    if (!(error instanceof ProjectionFault)) throw error;
    const reader = error.reader as Live;
    if (error.page.length > 1) {
      reader.limit = Math.ceil(error.page.length / 2);
      return;
    }
    reader.failures++;
    if (reader.failures >= this.poison.tries) {
      await this.giveUp(reader, error);
      return;
    }
    reader.retryAt = performance.now() + backoffMs(reader.failures, this.poison);
    this.options.logger.warn({ err: error, tries: reader.failures }, 'a projection will try again');
  }

  private async giveUp(reader: Live, fault: ProjectionFault): Promise<void> {
    const { database, logger } = this.options;
    const state = this.poison.policy === 'quarantine' ? 'SET_ASIDE' : 'STOPPED';
    // Unless it has been taken away meanwhile.
    if (!(await recordPoison(database, reader, { state, fault }))) return;
    reader.failures = 0;
    logger.error(
      { err: fault },
      state === 'STOPPED'
        ? 'a projection stopped: it needs a person'
        : 'a projection set a stream aside: it needs a person',
    );
  }

  /** Follows, from the next round on, what it leads then. */
  lookAgain(): void {
    this.refreshAt = 0;
  }

  /** Follows what is live now: after a start, a loss, a pause, a resumption or a cut-over. */
  private async refresh(): Promise<void> {
    const { database, projections, leaders } = this.options;
    // First, as somebody may ask for another look meanwhile.
    this.refreshAt = performance.now() + REFRESH_MS;
    const generations = await readGenerations(database);
    const readers: Live[] = [];
    for (const projection of projections) {
      const { name, version } = projection;
      if (leaders && !leaders.has(name)) continue;
      const wanted = generations.find((each) => each.name === name && each.state === 'LIVE');
      if (!wanted || !isOpen(wanted, version)) continue;
      const known = this.readers.find(
        (reader) => reader.projection === projection && reader.generation === wanted.generation,
      );
      const reader =
        known && !this.lost ? known : await this.claim(projection, wanted.generation, known);
      if (reader) readers.push(reader);
    }
    this.readers = readers;
    this.lost = false;
  }

  private async claim(
    projection: Projection,
    generation: number,
    known: Live | undefined,
  ): Promise<Live | null> {
    const { database, leaders } = this.options;
    const leader = leaders?.get(projection.name) ?? null;
    const reader = await claim(database, { projection, generation, state: 'LIVE' }, leader).catch(
      (error: unknown) => {
        if (error instanceof LeadershipLost) return null;
        throw error;
      },
    );
    if (!reader) return null;
    const { limit = this.pageSize, failures = 0, retryAt = 0 } = known ?? {};
    return { ...reader, limit, failures, retryAt };
  }
}
