import type { Event, Recorded } from '../events/event.ts';
import type { Row } from '../platform/database.ts';
import type { Statement } from '../platform/sql.ts';

/** A read model's table: `read.<name>` is a view of `projections.<name>_<generation>` of the live generation. */
export type Table = Readonly<{
  name: string;
  /** What stands between the brackets of `create table`, with the primary key and no other index. */
  columns: string;
  /** What stands after the table's name in `create index`: made when the rows are there, which is faster. */
  indexes: readonly string[];
  /** Storage parameters of the table, as in `with (…)`. */
  storage?: string;
}>;

/** The tables of one generation: their names in SQL, by `Table.name`. */
export type TableNames = Readonly<Record<string, string>>;

/** What `load` asked for, under the same names; nothing for what it did not ask. */
export type Loaded = Readonly<Partial<Record<string, readonly Row[]>>>;

/**
 * How one read model follows the log. Its functions are pure and return SQL: the engine runs it in the transaction
 * that moves the checkpoint, so every event counts exactly once. Raise `version` whenever the same events are to
 * give other rows: the next start rebuilds it.
 */
export type Projection<E extends Event = Event> = Readonly<{
  name: string;
  version: number;
  types: readonly E['type'][];
  tables: readonly Table[];
  /**
   * Whether what it makes of one stream touches no row that it makes of another: then a rebuild may fold several
   * streams at once.
   */
  streamsApart: boolean;
  /** The rows that a page of events builds on. */
  load: (page: readonly Recorded<E>[], tables: TableNames) => Readonly<Record<string, Statement>>;
  /** The statements that bring the tables from before the page to after it. */
  write: (page: readonly Recorded<E>[], loaded: Loaded, tables: TableNames) => readonly Statement[];
}>;

/** Forgets which events a projection takes: the engine gives it those of its `types` and no others. */
export function projection<E extends Event>(definition: Projection<E>): Projection {
  return definition as unknown as Projection;
}

/** Text as Postgres can hold it: NUL, which JSON may contain, becomes U+FFFD. */
export function text<T extends string | null>(value: T): T {
  return (value === null ? null : value.replaceAll('\0', '\uFFFD')) as T;
}
