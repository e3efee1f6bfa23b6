import fc from 'fast-check';
import { types } from 'pg';
import { expect, test } from 'vitest';

import { parseTimestamp } from '../../src/platform/timestamps.ts';

/** As Postgres writes it to a session in UTC. */
const written = (at: Date, micros: number): string =>
  `${at.toISOString().replace('T', ' ').slice(0, 23)}${String(micros).padStart(3, '0')}`.replace(
    /\.?0+$/,
    '',
  ) + '+00';

test('reads every time that Postgres writes in UTC, to the millisecond', () => {
  const years = {
    min: new Date('1000-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
  };
  fc.assert(
    fc.property(fc.date({ ...years, noInvalidDate: true }), fc.nat({ max: 999 }), (at, micros) => {
      expect(parseTimestamp(written(at, micros))).toEqual(at);
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  '2026-11-20 15:36:37.5+05:30',
  '2026-11-20 15:36:37-08',
  '0044-03-15 12:00:00+00 BC',
  '12026-11-20 15:36:37+00',
])('reads %s as before', (text) => {
  expect(parseTimestamp(text)).toEqual(types.getTypeParser(types.builtins.TIMESTAMPTZ)(text));
});
