import { createHash } from 'node:crypto';

const UNSTORABLE = /\0|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

/** An index entry of Postgres holds 2,700 bytes; two of these always fit. */
const MAX_LENGTH = 300;

/**
 * The text as a column and an index can hold it. Names and keys come from outside: one that Postgres refuses would
 * stop the dispatch of everything behind it. Equal texts stay equal; a long one becomes its beginning and its hash.
 */
export function storable(text: string): string {
  const clean = text.replace(UNSTORABLE, '\uFFFD');
  if (clean.length <= MAX_LENGTH) return clean;
  const beginning = clean.slice(0, 200).replace(UNSTORABLE, '\uFFFD');
  return `${beginning}:${createHash('sha256').update(clean).digest('hex')}`;
}

const LAST_TIME = Date.UTC(9999, 11, 31);

/** The time as Postgres reads it: a year of five digits, which it does not, becomes the end of 9999. */
export const storableTime = (time: string): string =>
  new Date(Math.min(Date.parse(time), LAST_TIME)).toISOString();
