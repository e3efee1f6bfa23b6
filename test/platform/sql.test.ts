import { expect, test } from 'vitest';

import { allOf, sql } from '../../src/platform/sql.ts';

test('values never reach the text', () => {
  expect(sql`select ${1} from t where a = ${"'; drop table t"}`).toEqual({
    text: 'select $1 from t where a = $2',
    values: [1, "'; drop table t"],
  });
});

test('a nested statement is put in its place and its values are numbered anew', () => {
  const nested = sql`(b = ${2} or c = ${3})`;
  expect(sql`select ${1} where ${nested} and d = ${4}`).toEqual({
    text: 'select $1 where (b = $2 or c = $3) and d = $4',
    values: [1, 2, 3, 4],
  });
  expect(sql`${nested}${sql``} ${sql`x`}`).toEqual({
    text: '(b = $1 or c = $2) x',
    values: [2, 3],
  });
});

test('an object that only looks like a statement is a value', () => {
  const value = { text: 'drop table t', values: [] };
  expect(sql`select ${value}`).toEqual({ text: 'select $1', values: [value] });
});

test('all of no conditions is true', () => {
  expect(allOf([])).toEqual({ text: 'true', values: [] });
  expect(allOf([sql`a = ${1}`, sql`b = ${2}`])).toEqual({
    text: 'true and a = $1 and b = $2',
    values: [1, 2],
  });
});
