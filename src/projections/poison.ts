import type { Recorded } from '../events/event.ts';
import type { Database, Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import type { ProjectionFault } from './projection-fault.ts';
import type { LeftOut, Reader } from './reader.ts';

/** `STOPPED`: the projection stands before it. `SET_ASIDE`: it and all after it of its stream wait. */
export type PoisonState = 'STOPPED' | 'SET_ASIDE' | 'SKIPPED';

/** An event that a live projection cannot take, or that it is to pass over. */
export type PoisonedEvent = Readonly<{
  name: string;
  generation: number;
  position: bigint;
  streamId: string;
  type: string;
  state: PoisonState;
  error: string;
  tries: number;
  since: Date;
}>;

/** Of the live generations, by name and place. */
export async function listPoison(database: Queryable): Promise<readonly PoisonedEvent[]> {
  const rows = await database.query<PoisonRow>(sql`
    select name, generation, position::text as position, stream_id as "streamId", type, state, error, tries, since
    from read.poison order by name, read.poison.position`);
  return rows.map(toPoisoned);
}

type PoisonRow = Omit<PoisonedEvent, 'position'> & Readonly<{ position: string }>;

const toPoisoned = ({ position, ...rest }: PoisonRow): PoisonedEvent => ({
  ...rest,
  position: BigInt(position),
});

export const NOTHING_LEFT_OUT: LeftOut = { streams: new Set(), positions: new Set() };

export async function readLeftOut(
  database: Queryable,
  name: string,
  generation: number,
): Promise<LeftOut> {
  const rows = await database.query<{
    position: string;
    stream_id: string;
    state: PoisonState;
  }>(sql`
    select position::text as position, stream_id, state from projections.poison
    where name = ${name} and generation = ${generation} and state <> 'STOPPED'`);
  const of = (state: PoisonState): typeof rows => rows.filter((row) => row.state === state);
  return {
    streams: new Set(of('SET_ASIDE').map((row) => row.stream_id)),
    positions: new Set(of('SKIPPED').map((row) => BigInt(row.position))),
  };
}

/** What of a page a reader takes. */
export function withoutLeftOut<E extends Recorded>(
  { leftOut: { streams, positions } }: Pick<Reader, 'leftOut'>,
  page: readonly E[],
): readonly E[] {
  if (streams.size === 0 && positions.size === 0) return page;
  return page.filter(
    ({ streamId, position }) => !streams.has(streamId) && !positions.has(position),
  );
}

/** What becomes of an event that a live projection still cannot take after its tries. */
export type Poisoned = Readonly<{
  state: Exclude<PoisonState, 'SKIPPED'>;
  fault: ProjectionFault;
}>;

/**
 * Stops the projection before the event, or sets the event's stream aside; gives false, and does nothing, when the
 * reader no longer has the right to move the projection.
 */
export async function recordPoison(
  database: Database,
  reader: Reader,
  { state, fault }: Poisoned,
): Promise<boolean> {
  const [event] = fault.page;
  if (!event) return false;
  const { projection, generation, name } = reader;
  return database.transaction(async (transaction) => {
    const [mine] = await transaction.query(sql`
      select from log.followers
      where name = ${name} and epoch = ${String(reader.epoch)} and position = ${String(reader.position)}
      for update`);
    if (!mine) return false;
    await keepPoison(transaction, { reader, event, state, error: reasonOf(fault) });
    if (state === 'SET_ASIDE') return true;
    await transaction.query(sql`
      update projections.generations set error = ${fault.message}, updated_at = clock_timestamp()
      where name = ${projection.name} and generation = ${generation}`);
    return true;
  });
}

export async function keepPoison(
  transaction: Queryable,
  {
    reader,
    event,
    state,
    error,
  }: Readonly<{
    reader: Pick<Reader, 'projection' | 'generation'>;
    event: Recorded;
    state: PoisonState;
    error: string;
  }>,
): Promise<void> {
  await transaction.query(sql`
    insert into projections.poison as poison (name, generation, position, stream_id, type, state, error)
    values (${reader.projection.name}, ${reader.generation}, ${String(event.position)}, ${event.streamId},
            ${event.type}, ${state}, ${error})
    on conflict (name, generation, position)
    do update set state = excluded.state, error = excluded.error, tries = poison.tries + 1`);
}

/** NUL cannot be stored as text; it may well be what the error is about. */
export const reasonOf = ({ cause }: ProjectionFault): string =>
  (cause instanceof Error ? cause.message : String(cause)).replaceAll('\0', '\uFFFD');
