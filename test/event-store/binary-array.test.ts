import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { binaryArray } from '../../src/event-store/binary-array.ts';
import { type TestDatabase, emptyDatabase } from '../support/database.ts';

const ID = '0190b3a4-7c1e-7d2f-8a3b-4c5d6e7f8091';

describe('arrays in binary', () => {
  let database: TestDatabase;
  let client: Client;

  beforeAll(async () => {
    database = await emptyDatabase();
    client = new Client(database.url);
    await client.connect();
  });

  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  test.each([
    ['text', binaryArray.text(['', 'ü🧵', null, '"{},\\']), ['', 'ü🧵', null, '"{},\\']],
    ['json', binaryArray.json(['{"a":[1]}', null, 'null']), [{ a: [1] }, null, null]],
    ['bytea', binaryArray.bytea([Buffer.from([0, 255]), null]), [Buffer.from([0, 255]), null]],
    ['uuid', binaryArray.uuid([ID, null]), [ID, null]],
    ['bool', binaryArray.bool([true, false, null]), [true, false, null]],
    ['smallint', binaryArray.int2([-32_768, null, 32_767]), [-32_768, null, 32_767]],
    ['int', binaryArray.int4([-(2 ** 31), null, 2 ** 31 - 1]), [-(2 ** 31), null, 2 ** 31 - 1]],
    ['bigint', binaryArray.int8([-(2n ** 63n), null]), [String(-(2n ** 63n)), null]],
    [
      'timestamptz',
      binaryArray.timestamptz([new Date('1969-12-31T23:59:59.999Z'), null]),
      [new Date('1969-12-31T23:59:59.999Z'), null],
    ],
    ['text', binaryArray.text([]), []],
  ] as const)('%s[] arrives as it was', async (type, parameter, expected) => {
    const { rows } = await client.query<{ value: unknown }>({
      text: `select unnest($1::${type}[]) as value`,
      values: [parameter],
      ...(type === 'json' && { types: { getTypeParser: () => JSON.parse } }),
    });
    expect(rows.map(({ value }) => value)).toEqual(expected);
  });

  test('what is no UUID and no time is refused', () => {
    expect(() => binaryArray.uuid(['0190b3a4'])).toThrow(TypeError);
    expect(() => binaryArray.uuid([`${ID}00`])).toThrow(TypeError);
    expect(() => binaryArray.timestamptz([new Date(Number.NaN)])).toThrow(TypeError);
  });
});
