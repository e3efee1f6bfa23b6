import type { EventStore } from '../event-store/event-store.ts';
import type { Recorded } from '../events/event.ts';
import type { Database, Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { PROJECTIONS } from './catalog.ts';
import { resumeProjection } from './control.ts';
import { ProjectionFault } from './projection-fault.ts';
import { foldInto } from './page.ts';
import { type PoisonedEvent, keepPoison, listPoison, reasonOf } from './poison.ts';
import type { Projection } from './projection.ts';
import type { Reader } from './reader.ts';
import { claimIn } from './claim.ts';

export type DrainOptions = Readonly<{
  database: Database;
  store: EventStore;
  projections?: readonly Projection[];
}>;

/** How many events the rows have seen now, and what stands in the way of the rest; null: nothing. */
export type Drained = Readonly<{ events: number; left: PoisonedEvent | null }>;

/**
 * Tries the event again, and all that waits behind it, in order: at once for a stream that was set aside, by the
 * projector for a projection that stopped. What fails again stays where it is, with all behind it.
 */
export async function retryPoison(poison: PoisonedEvent, options: DrainOptions): Promise<Drained> {
  if (poison.state === 'STOPPED') {
    await resumeProjection(options.database, poison.name);
    return { events: 0, left: null };
  }
  if (poison.state === 'SKIPPED') throw alreadySkipped(poison);
  return drain(poison, false, options);
}

/** Passes the event over for good, and goes on with what is behind it. A rebuild meets it again. */
export async function skipPoison(poison: PoisonedEvent, options: DrainOptions): Promise<Drained> {
  if (poison.state === 'SKIPPED') throw alreadySkipped(poison);
  if (poison.state === 'SET_ASIDE') return drain(poison, true, options);
  await options.database.transaction(async (transaction) => {
    await markSkipped(transaction, poison);
    await resumeProjection(transaction, poison.name);
  });
  return { events: 0, left: null };
}

const alreadySkipped = ({ name, position }: PoisonedEvent): Error =>
  new Error(`${name} has passed event ${String(position)} over for good: a rebuild takes it again`);

async function drain(
  poison: PoisonedEvent,
  skip: boolean,
  { database, store, projections = PROJECTIONS }: DrainOptions,
): Promise<Drained> {
  const projection = projections.find(({ name }) => name === poison.name);
  if (!projection) throw new Error(`This program has no projection ${poison.name}`);
  const events = await database.transaction(async (transaction) => {
    // Whoever follows the log loses its right to this projection, and sees the rows of `poison` anew when it takes it again.
    const of = { projection, generation: poison.generation, state: 'LIVE' } as const;
    const reader = await claimIn(transaction, of);
    if (!reader) throw new Error(`${poison.name} is paused, has stopped or was rebuilt`);
    if (skip) await markSkipped(transaction, poison);
    const waiting = await waitingEvents(reader, poison, store);
    return foldWhatGoes(transaction, reader, skip ? waiting.slice(1) : waiting, poison);
  });
  const left = (await listPoison(database)).find(
    (each) =>
      each.name === poison.name && each.streamId === poison.streamId && each.state === 'SET_ASIDE',
  );
  return { events, left: left ?? null };
}

/** What the stream has had since, up to where the projection stands: what comes later it takes by itself. */
async function waitingEvents(
  reader: Reader,
  { streamId, position }: PoisonedEvent,
  store: EventStore,
): Promise<readonly Recorded[]> {
  const { types } = reader.projection;
  return (await store.readStream(streamId)).filter(
    (event) =>
      event.position >= position &&
      event.position <= reader.position &&
      types.includes(event.type) &&
      !reader.leftOut.positions.has(event.position),
  );
}

/** One event after the other, each wholly or not at all, up to the first that does not go. */
async function foldWhatGoes(
  transaction: Queryable,
  reader: Reader,
  events: readonly Recorded[],
  { name, generation, position }: PoisonedEvent,
): Promise<number> {
  let folded = 0;
  for (const event of events) {
    await transaction.query(sql`savepoint before_event`);
    try {
      await foldInto(transaction, reader, [event]);
    } catch (error) {
      if (!(error instanceof ProjectionFault)) throw error;
      await transaction.query(sql`rollback to savepoint before_event`);
      if (event.position !== position) await forget(transaction, { name, generation, position });
      const why = { reader, event, state: 'SET_ASIDE', error: reasonOf(error) } as const;
      await keepPoison(transaction, why);
      return folded;
    }
    await transaction.query(sql`release savepoint before_event`);
    folded++;
  }
  await forget(transaction, { name, generation, position });
  return folded;
}

type PlaceOfPoison = Pick<PoisonedEvent, 'name' | 'generation' | 'position'>;

async function forget(
  transaction: Queryable,
  { name, generation, position }: PlaceOfPoison,
): Promise<void> {
  await transaction.query(sql`
    delete from projections.poison
    where name = ${name} and generation = ${generation} and position = ${String(position)} and state = 'SET_ASIDE'`);
}

async function markSkipped(
  transaction: Queryable,
  { name, generation, position }: PlaceOfPoison,
): Promise<void> {
  await transaction.query(sql`
    update projections.poison set state = 'SKIPPED'
    where name = ${name} and generation = ${generation} and position = ${String(position)}`);
}
