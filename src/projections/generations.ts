import type { Database, Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import type { Projection, Table, TableNames } from './projection.ts';
import { slotNames } from './slots.ts';

/** One set of a projection's tables. At most one per projection is LIVE: the one that the views of `read` show. */
export type Generation = Readonly<{
  name: string;
  generation: number;
  version: number;
  state: 'LIVE' | 'BUILDING' | 'RETIRED';
  paused: boolean;
  indexed: boolean;
  error: string | null;
  tables: readonly string[];
}>;

/** The name under which a generation's checkpoint stands in `log.followers`. */
export const followerName = (name: string, generation: number): string =>
  `projection:${name}:${String(generation)}`;

const tableName = (table: string, generation: number): string =>
  `projections.${table}_${String(generation)}`;

export const tableNames = ({ tables }: Projection, generation: number): TableNames =>
  Object.fromEntries(tables.map(({ name }) => [name, tableName(name, generation)]));

/** Every generation there is; of a projection's the one that was changed last comes first. */
export function readGenerations(database: Queryable): Promise<readonly Generation[]> {
  return database.query<Generation>(sql`
    select name, generation, version, state, paused, indexed, error, tables
    from projections.generations order by name, updated_at desc, generation desc`);
}

/** Makes the tables of the next generation, empty and without secondary indexes. */
export function createGeneration(
  database: Database,
  projection: Projection,
  slots = 1,
): Promise<Generation> {
  const { name, version, tables, streamsApart } = projection;
  return database.transaction(async (transaction) => {
    const [created] = await transaction.query<Generation>(sql`
      insert into projections.generations (name, generation, version, state, tables)
      values (${name}, nextval('projections.generation_numbers'), ${version}, 'BUILDING', ${tables.map((table) => table.name)})
      returning name, generation, version, state, paused, indexed, error, tables`);
    if (!created) throw new Error(`No generation of ${name} was made`);
    const { generation } = created;
    const follower = followerName(name, generation);
    const shares = streamsApart && slots > 1 ? slotNames(follower, slots) : [];
    await transaction.query(sql`
      insert into log.followers (name) select unnest(${[follower, ...shares]}::text[])`);
    for (const table of tables) {
      await transaction.query({ text: createTable(table, generation), values: [] });
    }
    return created;
  });
}

function createTable({ name, columns, storage }: Table, generation: number): string {
  const parameters = storage === undefined ? '' : ` with (${storage})`;
  return `create table ${tableName(name, generation)} (${columns})${parameters}`;
}

/** Makes the secondary indexes that are not there yet, and gathers the statistics that queries are planned by. */
export async function finishTables(
  database: Database,
  { name, tables }: Projection,
  generation: number,
): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query(sql`set local maintenance_work_mem = '256MB'`);
    for (const table of tables) {
      const target = tableName(table.name, generation);
      for (const index of table.indexes) {
        await transaction.query({ text: `create index on ${target} ${index}`, values: [] });
      }
      await transaction.query({ text: `analyze ${target}`, values: [] });
    }
    await transaction.query(sql`
      update projections.generations set indexed = true, updated_at = clock_timestamp()
      where name = ${name} and generation = ${generation}`);
  });
}

/** Takes a generation that is not live away, with its rows; gives up when somebody reads it for 2 s. */
export async function dropGeneration(
  database: Database,
  { name, generation }: Pick<Generation, 'name' | 'generation'>,
): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query(sql`set local lock_timeout = '2s'`);
    const [dropped] = await transaction.query<Pick<Generation, 'tables'>>(sql`
      delete from projections.generations
      where name = ${name} and generation = ${generation} and state <> 'LIVE' returning tables`);
    if (!dropped) return;
    for (const table of dropped.tables) {
      const drop = `drop table if exists ${tableName(table, generation)}`;
      await transaction.query({ text: drop, values: [] });
    }
    await transaction.query(sql`
      delete from log.followers
      where name = ${followerName(name, generation)} or starts_with(name, ${`${followerName(name, generation)}/`})`);
  });
}

/** Points the views of `read` at a generation. Waits for readers that are at it, up to the transaction's lock_timeout. */
export async function showGeneration(
  transaction: Queryable,
  { tables }: Projection,
  generation: number,
): Promise<void> {
  for (const { name } of tables) {
    const select = `select * from ${tableName(name, generation)}`;
    await transaction.query(sql`savepoint show_generation`);
    try {
      await transaction.query({
        text: `create or replace view read.${name} as ${select}`,
        values: [],
      });
    } catch (error) {
      if (!isOtherShape(error)) throw error;
      await transaction.query(sql`rollback to savepoint show_generation`);
      await transaction.query({ text: `drop view read.${name}`, values: [] });
      await transaction.query({ text: `create view read.${name} as ${select}`, values: [] });
    }
  }
}

/** `create or replace view` can only add columns at the end: invalid_table_definition. */
const isOtherShape = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === '42P16';
