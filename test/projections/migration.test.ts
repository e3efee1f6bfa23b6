import { afterAll, beforeAll, expect, test } from 'vitest';

import { PROJECTIONS } from '../../src/projections/catalog.ts';
import { createGeneration, finishTables } from '../../src/projections/generations.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
afterAll(() => ledger.close());

/** Columns, constraints, indexes and parameters of a table, without its generation's number. */
async function shapeOf(table: string, generation: number): Promise<string> {
  const name = `${table}_${String(generation)}`;
  const rows = await ledger.rows(`
    select format('%s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.collname) as line
    from pg_attribute a left join pg_collation c on c.oid = a.attcollation
    where a.attrelid = 'projections.${name}'::regclass and a.attnum > 0
    union all select indexdef from pg_indexes where schemaname = 'projections' and tablename = '${name}'
    union all select reloptions::text from pg_class where oid = 'projections.${name}'::regclass
    order by 1`);
  return rows
    .map(({ line }) => String(line))
    .join('\n')
    .replaceAll(name, table);
}

test.each(PROJECTIONS.map((projection) => [projection.name, projection] as const))(
  'the migration makes generation 1 of %s just as a rebuild would',
  async (_, projection) => {
    const { generation, version, tables } = await createGeneration(ledger.database, projection);
    await finishTables(ledger.database, projection, generation);
    const [made] = await ledger.rows(
      `select version from projections.generations where name = '${projection.name}' and generation = 1`,
    );
    expect(made).toEqual({ version });
    for (const table of tables)
      expect(await shapeOf(table, 1)).toBe(await shapeOf(table, generation));
  },
);
