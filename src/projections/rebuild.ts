import { pause } from '../platform/backoff.ts';
import { sql } from '../platform/sql.ts';
import {
  type Build,
  begin,
  clearRate,
  livePosition,
  makeIndexes,
  placeOf,
  readersOf,
  storeRate,
  take,
} from './build.ts';
import { PROJECTIONS } from './catalog.ts';
import { catchUp } from './catch-up.ts';
import { type CutOver, cutOver } from './cut-over.ts';
import { dropGeneration, readGenerations } from './generations.ts';
import { NEVER, RebuildStuck, patiently, recordError } from './patience.ts';
import type { Projection } from './projection.ts';
import type { RebuildOptions } from './rebuild-options.ts';
import { joinSlots, shareOf } from './slots.ts';

export type RebuildResult = Readonly<{
  name: string;
  generation: number;
  version: number;
  /** `swapped`: it is live. `compared`: a shadow. `stopped`: on request. `different`: not equal, so not swapped. */
  outcome: 'swapped' | 'compared' | 'stopped' | 'different';
  /** Whether the rows were found equal; null when they were not compared. */
  verified: boolean | null;
  /** The tables whose rows differ. */
  different: readonly string[];
  /** Folded by this run, and how fast. */
  events: number;
  eventsPerSecond: number;
  position: bigint;
}>;

const PAGE_SIZE = 5_000;

/**
 * Builds new generations of projections from the whole log beside the live ones, which go on, and swaps each in when
 * it has caught up. Goes on through failures of the database. Throws `ProjectionFault` or `UnknownEvent` for an event
 * that it cannot take, and `CheckpointLost` when another process rebuilds the same.
 */
export async function rebuild(options: RebuildOptions): Promise<readonly RebuildResult[]> {
  const builds: Build[] = [];
  for (const projection of selected(options)) builds.push(await begin(projection, options));
  await patiently(builds, options, () => fill(builds, options));
  const results: RebuildResult[] = [];
  for (const build of builds) results.push(await finish(build, options));
  return results;
}

/**
 * Makes the generation that was live before the live one again: it follows the log from where it was retired, then
 * is swapped in like a rebuilt one. The one that is live now is kept in its place.
 */
export async function rollback(
  name: string,
  options: Omit<RebuildOptions, 'names' | 'fresh'>,
): Promise<RebuildResult> {
  const [projection] = selected({ ...options, names: [name] });
  const generations = (await readGenerations(options.database)).filter(
    (each) => each.name === name,
  );
  const retired = generations.find(({ state }) => state === 'RETIRED');
  if (!projection || !retired) throw new Error(`${name} has no earlier generation to go back to`);
  if (retired.version !== projection.version) {
    throw new Error(
      `Generation ${String(retired.generation)} of ${name} was written by version ${String(retired.version)}, and this program has version ${String(projection.version)}: run the rollback with the release that wrote it`,
    );
  }
  await options.database.query(sql`
    update projections.generations set state = 'BUILDING', error = null, updated_at = clock_timestamp()
    where name = ${name} and generation = ${retired.generation} and state = 'RETIRED'`);
  const build = await take(projection, retired, { ...options, names: [name] });
  return finish(build, { ...options, names: [name] });
}

function selected({ names, projections = PROJECTIONS }: RebuildOptions): readonly Projection[] {
  const unknown = names.filter((name) => !projections.some((each) => each.name === name));
  if (unknown.length > 0) {
    const known = projections.map(({ name }) => name).join(', ');
    throw new Error(`There is no projection ${unknown.join(', ')}: there are ${known}`);
  }
  return names.length === 0 ? projections : projections.filter(({ name }) => names.includes(name));
}

async function fill(builds: readonly Build[], options: RebuildOptions): Promise<void> {
  const { database, store, pageSize = PAGE_SIZE, signal = NEVER } = options;
  await catchUp(builds.flatMap(readersOf), {
    database,
    store,
    target: () => targetOf(builds, options),
    pageSize,
    signal,
    onPage: async ({ readers, page, ms, target }) => {
      for (const build of builds) {
        const moved = readersOf(build).filter((reader) => readers.includes(reader));
        const events = moved.reduce((sum, reader) => sum + shareOf(reader, page).length, 0);
        if (events > 0) build.meter.took(events, ms);
      }
      // They share their pages: one line that moves says more than several that take turns.
      const last = builds.reduce((a, b) => (placeOf(b) < placeOf(a) ? b : a));
      last.meter.show(last.indexed ? 'following' : 'filling', placeOf(last), target);
      for (const build of builds) await storeRate(build, database);
    },
  });
  if (signal.aborted) return;
  for (const { reader } of builds) await joinSlots(database, reader);
}

/** The end of the log; or, to be compared with the live generation, where that one stands. */
async function targetOf(builds: readonly Build[], options: RebuildOptions): Promise<bigint> {
  if (options.verify !== true) return options.store.head();
  const positions: bigint[] = [];
  for (const { reader } of builds) {
    positions.push((await livePosition(options.database, reader.projection.name)).position);
  }
  const least = positions.reduce((a, b) => (a < b ? a : b));
  // Slots that an earlier run has left at different places first come to one.
  const slots = builds.flatMap(({ reader }) => reader.slots);
  return slots.reduce((most, { position }) => (position > most ? position : most), least);
}

async function finish(build: Build, options: RebuildOptions): Promise<RebuildResult> {
  const { signal = NEVER, database } = options;
  const outcome = await patiently([build], options, async (): Promise<CutOver | null> => {
    if (await isLive(build, options)) return { outcome: 'swapped', verified: null };
    if (signal.aborted) return null;
    await makeIndexes(build, options);
    for (let tries = 1; !signal.aborted; tries++) {
      await fill([build], options);
      const done = await tryCutOver(build, options);
      if (done) return done;
      if (tries % 600 === 0) throw await standsStill(build, options);
      await pause(50, signal);
    }
    return null;
  });
  const result = resultOf(build, outcome);
  await clearRate(build, database);
  if (result.outcome === 'different') {
    await recordError(
      build,
      database,
      `Differs from the live one in ${result.different.join(', ')}`,
    );
  }
  if (result.outcome === 'swapped') {
    build.meter.show('done', build.reader.position, build.reader.position);
    await dropOld(build, options);
  }
  return result;
}

/** Whether a cut-over whose answer was lost has taken place. */
async function isLive({ reader }: Build, { database }: RebuildOptions): Promise<boolean> {
  const live = await livePosition(database, reader.projection.name);
  return live.generation === reader.generation;
}

/** Gives null when it is to be tried again: readers were in the way, or the live one has moved on. */
async function tryCutOver(build: Build, options: RebuildOptions): Promise<CutOver | null> {
  const { database, store, verify = false, shadow = false } = options;
  const { reader } = build;
  const { generation } = await livePosition(database, reader.projection.name);
  if (verify) build.meter.show('verifying', reader.position, reader.position);
  try {
    const result = await cutOver(reader, { database, store, blue: generation, verify, shadow });
    return result.outcome === 'behind' || result.outcome === 'ahead' ? null : result;
  } catch (error) {
    if (isLockTimeout(error)) return null;
    throw error;
  }
}

const isLockTimeout = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === '55P03';

async function standsStill({ reader }: Build, { database }: RebuildOptions): Promise<Error> {
  const live = await livePosition(database, reader.projection.name);
  return new RebuildStuck(
    `${reader.projection.name} could not be swapped for 30 s: the new generation stands at ${String(reader.position)}, the live one at ${String(live.position)}. A long query may hold the view; a live one that is paused or failed cannot be compared with`,
  );
}

function resultOf(build: Build, outcome: CutOver | null): RebuildResult {
  const { reader, meter } = build;
  return {
    name: reader.projection.name,
    generation: reader.generation,
    version: reader.projection.version,
    ...summary(outcome),
    events: meter.taken,
    eventsPerSecond: meter.eventsPerSecond,
    position: placeOf(build),
  };
}

function summary(
  result: CutOver | null,
): Pick<RebuildResult, 'outcome' | 'verified' | 'different'> {
  if (result?.outcome === 'swapped' || result?.outcome === 'compared') {
    return { outcome: result.outcome, verified: result.verified, different: [] };
  }
  if (result?.outcome === 'different') {
    return { outcome: 'different', verified: false, different: result.tables };
  }
  return { outcome: 'stopped', verified: null, different: [] };
}

/** One earlier generation is kept for a rollback; those before it go. */
async function dropOld({ reader }: Build, { database, logger }: RebuildOptions): Promise<void> {
  const generations = await readGenerations(database);
  const [, ...old] = generations.filter(
    ({ name, state }) => name === reader.projection.name && state === 'RETIRED',
  );
  for (const each of old) {
    await dropGeneration(database, each).catch((error: unknown) => {
      logger?.warn(
        { err: error },
        'an old generation is still being read: the next rebuild drops it',
      );
    });
  }
}
