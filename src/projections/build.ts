import { CheckpointLost } from '../event-store/checkpoint.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import {
  type Generation,
  createGeneration,
  dropGeneration,
  finishTables,
  readGenerations,
} from './generations.ts';
import type { Projection } from './projection.ts';
import type { Reader } from './reader.ts';
import { claim } from './claim.ts';
import type { RebuildOptions } from './rebuild-options.ts';
import { ProgressMeter } from './rebuild-progress.ts';

/** A generation on its way to become the live one. */
export type Build = {
  reader: Reader;
  indexed: boolean;
  readonly meter: ProgressMeter;
  rateShownAt: number;
};

/** Goes on with what an earlier rebuild of the same version left, or makes a new generation. */
export async function begin(projection: Projection, options: RebuildOptions): Promise<Build> {
  const { database, fresh = false } = options;
  const left = (await readGenerations(database)).filter(
    ({ name, state }) => name === projection.name && state === 'BUILDING',
  );
  let kept: Generation | null = null;
  for (const each of left) {
    const usable = !fresh && each.version === projection.version && each.error === null;
    if (usable && kept === null) kept = each;
    else await dropGeneration(database, each);
  }
  const generation = kept ?? (await createGeneration(database, projection, options.slots ?? SLOTS));
  return take(projection, generation, options);
}

/** Two keep a processor and the server busy in turns; more of them help where there are more processors. */
const SLOTS = 2;

/** Those who read for a build: its slots while it is filled. */
export const readersOf = ({ reader }: Build): readonly Reader[] =>
  reader.slots.length > 0 ? reader.slots : [reader];

/** Up to where all of its rows are. */
export const placeOf = (build: Build): bigint =>
  readersOf(build)
    .map(({ position }) => position)
    .reduce((least, position) => (position < least ? position : least));

/** Takes a generation over from whoever builds it. */
export async function take(
  projection: Projection,
  { name, generation, indexed }: Generation,
  { database, onProgress }: RebuildOptions,
): Promise<Build> {
  const reader = await claim(database, { projection, generation, state: 'BUILDING' });
  if (!reader) throw takenOver(name);
  const meter = new ProgressMeter({ name, generation }, onProgress ?? ignore);
  return { reader, indexed, meter, rateShownAt: 0 };
}

const ignore = (): void => undefined;

/** After a failure it is not known what was committed: the database says it. Throws when another process took over. */
export async function resume(builds: readonly Build[], database: Queryable): Promise<void> {
  for (const { reader } of builds) await resumeReader(reader, database);
}

async function resumeReader(reader: Reader, database: Queryable): Promise<void> {
  const { projection, generation, name, epoch } = reader;
  const [row] = await database.query<{ position: string; epoch: string; state: string }>(sql`
    select follower.position::text as position, follower.epoch::text as epoch, generation.state
    from log.followers as follower
    join projections.generations as generation
      on generation.name = ${projection.name} and generation.generation = ${generation}
    where follower.name = ${name}`);
  // Once it is live, the projector has it.
  if (row?.state !== 'LIVE' && row?.epoch !== String(epoch)) throw takenOver(projection.name);
  reader.position = BigInt(row.position);
  const slots = await database.query<{ name: string; position: string }>(sql`
    select name, position::text as position from log.followers where starts_with(name, ${`${name}/`})`);
  // None is left once they are joined.
  reader.slots = reader.slots.filter((slot) => {
    const stored = slots.find((each) => each.name === slot.name);
    if (stored) slot.position = BigInt(stored.position);
    return stored !== undefined;
  });
}

const takenOver = (name: string): CheckpointLost =>
  new CheckpointLost(`The rebuild of ${name} was cancelled, or another process has taken it over`);

/** Makes the indexes, once. */
export async function makeIndexes(build: Build, options: RebuildOptions): Promise<void> {
  if (build.indexed) return;
  const { projection, generation, position } = build.reader;
  build.meter.show('indexing', position, position);
  await finishTables(options.database, projection, generation);
  build.indexed = true;
}

/** Where the live generation stands; 0 when there is none. */
export async function livePosition(
  database: Queryable,
  name: string,
): Promise<Readonly<{ generation: number | null; position: bigint }>> {
  const [row] = await database.query<{ generation: number; position: string }>(sql`
    select generation, position::text as position from read.projections where name = ${name} and live`);
  return { generation: row?.generation ?? null, position: BigInt(row?.position ?? 0) };
}

const RATE_EVERY_MS = 2_000;

/** Lets others see how fast it goes, every other second. */
export async function storeRate(build: Build, database: Queryable): Promise<void> {
  const now = performance.now();
  if (now - build.rateShownAt < RATE_EVERY_MS) return;
  build.rateShownAt = now;
  await showRate(build, database, build.meter.eventsPerSecond);
}

export async function clearRate(build: Build, database: Queryable): Promise<void> {
  await showRate(build, database, null);
}

async function showRate(
  { reader }: Build,
  database: Queryable,
  eventsPerSecond: number | null,
): Promise<void> {
  await database.query(sql`
    update projections.generations
    set events_per_second = ${eventsPerSecond}, updated_at = clock_timestamp()
    where name = ${reader.projection.name} and generation = ${reader.generation} and state = 'BUILDING'`);
}
