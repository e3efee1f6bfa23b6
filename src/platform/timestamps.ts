import { type CustomTypesConfig, types } from 'pg';

type TypeId = (typeof types.builtins)[keyof typeof types.builtins];

const TIMESTAMPTZ = types.builtins.TIMESTAMPTZ;

/** For `pg`: how a column comes to be a value. As it is, but for times: every event has two of them. */
export const columnTypes: CustomTypesConfig = {
  getTypeParser: (oid: TypeId, format = 'text') =>
    oid === TIMESTAMPTZ && format === 'text' ? parseTimestamp : types.getTypeParser(oid, format),
};

const parseAny = types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date;

/** '2026-11-20 15:36:37.123456+00', a fifth of the price of the general parser, which takes all other forms. */
export function parseTimestamp(text: string): Date {
  if (!text.endsWith('+00') || text[4] !== '-' || text[10] !== ' ') return parseAny(text);
  return new Date(
    Date.UTC(
      number(text, 0, 4),
      number(text, 5, 7) - 1,
      number(text, 8, 10),
      number(text, 11, 13),
      number(text, 14, 16),
      number(text, 17, 19),
      milliseconds(text),
    ),
  );
}

function number(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) value = value * 10 + text.charCodeAt(at) - 48;
  return value;
}

/** Postgres leaves zeros at the end out: '.5' is half a second. */
function milliseconds(text: string): number {
  const end = text.length - 3;
  if (end === 19) return 0;
  const digits = Math.min(3, end - 20);
  return number(text, 20, 20 + digits) * 10 ** (3 - digits);
}
