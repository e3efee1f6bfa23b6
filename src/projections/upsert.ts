import { binaryArray } from '../event-store/binary-array.ts';
import type { Statement } from '../platform/sql.ts';

type Kinds = typeof binaryArray;
type Value<K extends keyof Kinds> = Parameters<Kinds[K]>[0][number];
type ColumnOf<T, K extends keyof Kinds> = K extends keyof Kinds
  ? readonly [kind: K, value: (row: T) => Value<K>]
  : never;

/** Each column of a table: its type, and its value for a row. */
export type Columns<T> = Readonly<Record<string, ColumnOf<T, keyof Kinds>>>;

/**
 * One statement that inserts all rows, or replaces those whose key is there. Each column travels as one binary
 * array, which costs the server less than as many values, and no parsing of JSON.
 */
export function upsert<T>({
  table,
  key,
  columns,
  rows,
  onConflict = replaceAll(key, Object.keys(columns)),
}: Readonly<{
  table: string | undefined;
  /** Empty: the rows are known to be new. */
  key: readonly string[];
  columns: Columns<T>;
  rows: readonly T[];
  onConflict?: string;
}>): Statement {
  const names = Object.keys(columns);
  const kinds = Object.values(columns);
  const arrays = kinds.map(([kind], index) => `$${String(index + 1)}::${kind}[]`);
  const insert = `insert into ${String(table)} as stored (${names.join(', ')}) select * from unnest(${arrays.join(', ')})`;
  return {
    text:
      key.length === 0
        ? insert
        : `${insert} on conflict (${key.join(', ')}) do update set ${onConflict}`,
    values: kinds.map((column) => encode(column, rows)),
  };
}

function encode<T, K extends keyof Kinds>(
  [kind, value]: readonly [K, (row: T) => Value<K>],
  rows: readonly T[],
): Buffer {
  // TypeScript cannot see that `binaryArray[kind]` takes just what `value` gives; `Value` guarantees it.
  const toBuffer = binaryArray[kind] as (values: readonly Value<K>[]) => Buffer;
  return toBuffer(rows.map(value));
}

const replaceAll = (key: readonly string[], columns: readonly string[]): string =>
  columns
    .filter((column) => !key.includes(column))
    .map((column) => `${column} = excluded.${column}`)
    .join(', ');
