import { DatabaseError } from 'pg';

import { moveCheckpoint } from '../event-store/checkpoint.ts';
import type { Recorded } from '../events/event.ts';
import type { Database, Queryable, Row } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';
import { withoutLeftOut } from './poison.ts';
import { ProjectionFault } from './projection-fault.ts';
import type { Reader } from './reader.ts';
import { shareOf } from './slots.ts';

/**
 * Brings readers that stand just before the page to its end, each exactly once: rows and checkpoints are stored
 * together or not at all. Throws `ProjectionFault`, `CheckpointLost`, or what the connection died of.
 */
export async function projectPage(
  database: Database,
  readers: readonly Reader[],
  page: readonly Recorded[],
): Promise<void> {
  // Outside of the transaction, which is shorter so: if anyone else had moved the rows, the checkpoint would say so.
  const planned = await planPage(database, readers, page);
  await database.transaction(async (transaction) => {
    // The rows are computed again if they are lost, and the checkpoint is lost with them. A process that is frozen
    // here must not keep the next leader from the checkpoint.
    await transaction.query(sql`
      select set_config('synchronous_commit', 'off', true),
             set_config('idle_in_transaction_session_timeout', '15s', true)`);
    await runPage(transaction, planned, page);
  });
  arrive(readers, page);
}

/** The same within a transaction of the caller, who calls `arrive` after its commit. */
export async function projectPageIn(
  transaction: Queryable,
  readers: readonly Reader[],
  page: readonly Recorded[],
): Promise<void> {
  await runPage(transaction, await planPage(transaction, readers, page), page);
}

/** Brings the rows alone up to date, in a transaction of the caller: the checkpoint stays where it is. */
export async function foldInto(
  transaction: Queryable,
  reader: Reader,
  events: readonly Recorded[],
): Promise<void> {
  const statements = await planReader(transaction, reader, events);
  for (const statement of statements) await queryFor(reader, events, transaction, statement);
}

export function arrive(readers: readonly Reader[], page: readonly Recorded[]): void {
  const last = page.at(-1);
  if (!last) return;
  for (const reader of readers) reader.position = last.position;
}

type Plan = Readonly<{ reader: Reader; statements: readonly Statement[] }>;

async function planPage(
  database: Queryable,
  readers: readonly Reader[],
  page: readonly Recorded[],
): Promise<readonly Plan[]> {
  const plans: Plan[] = [];
  for (const reader of readers) {
    const { types } = reader.projection;
    const wanted = withoutLeftOut(reader, shareOf(reader, page)).filter(({ type }) =>
      types.includes(type),
    );
    const statements = wanted.length === 0 ? [] : await planReader(database, reader, wanted);
    plans.push({ reader, statements });
  }
  return plans;
}

async function planReader(
  database: Queryable,
  reader: Reader,
  page: readonly Recorded[],
): Promise<readonly Statement[]> {
  const { projection, tables } = reader;
  const wanted = blaming(reader, page, () => Object.entries(projection.load(page, tables)));
  const loaded: Record<string, readonly Row[]> = {};
  for (const [name, statement] of wanted) {
    loaded[name] = await queryFor(reader, page, database, statement);
  }
  return blaming(reader, page, () => projection.write(page, loaded, tables));
}

async function runPage(
  transaction: Queryable,
  plans: readonly Plan[],
  page: readonly Recorded[],
): Promise<void> {
  const to = page.at(-1)?.position;
  if (to === undefined) return;
  // First, so that whoever has lost the right ends with that, and not with rows that it finds there.
  for (const { reader } of plans) {
    const { name, epoch, position } = reader;
    await moveCheckpoint(transaction, { name, epoch, from: position, to });
  }
  for (const { reader, statements } of plans) {
    for (const statement of statements) await queryFor(reader, page, transaction, statement);
  }
}

/** Runs code of the projection, which is to blame for whatever it throws. */
function blaming<T>(reader: Reader, page: readonly Recorded[], run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new ProjectionFault(reader, page, error);
  }
}

/** Runs a statement of the projection, which is to blame when Postgres refuses it, and for nothing else. */
async function queryFor(
  reader: Reader,
  page: readonly Recorded[],
  database: Queryable,
  statement: Statement,
): Promise<readonly Row[]> {
  try {
    return await database.query(statement);
  } catch (error) {
    throw isRefusal(error) ? new ProjectionFault(reader, page, error) : error;
  }
}

/** Wrong values, constraints, dependencies, syntax and names, limits, errors raised in SQL. All else may pass: connections, locks. */
const REFUSALS = /^(?:0A|21|22|23|2B|42|44|54|P0|XX)/;

export const isRefusal = (error: unknown): boolean =>
  error instanceof DatabaseError && REFUSALS.test(error.code ?? '');
