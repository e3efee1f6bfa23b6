import { type Payload, isObject } from './payload.ts';
import { Malformed } from './provider.ts';

const MAX_DEPTH = 64;
const MAX_TOKENS = 200_000;

/**
 * The JSON object in a body. The bytes must be UTF-8 (a byte order mark is skipped), nest at most 64
 * levels and hold at most 200,000 tokens; anything else is `Malformed`. Both limits are checked before
 * `JSON.parse`, so a hostile body costs one pass over its bytes; a body with fewer bytes than that cannot
 * have more tokens, and shows its depth for less when it is parsed.
 */
export function parseObject(body: Uint8Array): Payload {
  if (body.length === 0)
    throw new Malformed('The body is empty: send the payload as a JSON object');
  const isSmall = body.length <= MAX_TOKENS;
  if (!isSmall) assertWithinLimits(body);
  const value = parse(decode(body));
  if (isSmall && isDeeperThan(MAX_DEPTH, value)) throw tooDeep();
  if (!isObject(value)) throw new Malformed('The body is JSON but not an object: send an object');
  return value;
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  if (Array.isArray(value)) return value.some((each) => isDeeperThan(levels - 1, each));
  // Nothing else than JSON.parse has made it, so all its fields are its own.
  for (const key in value) {
    if (isDeeperThan(levels - 1, (value as Payload)[key])) return true;
  }
  return false;
}

const tooDeep = (): Malformed =>
  new Malformed(`The body nests deeper than ${String(MAX_DEPTH)} levels`);

const DECODER = new TextDecoder('utf-8', { fatal: true });

function decode(body: Uint8Array): string {
  try {
    return DECODER.decode(body);
  } catch {
    throw new Malformed('The body is not valid UTF-8: send UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The error of JSON.parse quotes the payload, which is nobody's business.
    throw new Malformed('The body is not valid JSON: send the payload as one JSON object');
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x7b, 0x5b]);
const CLOSING = new Set([0x7d, 0x5d]);
/** White space, comma and colon. */
const BETWEEN = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2c, 0x3a]);

/** Counts strings, numbers, literals and openings. It need not see that the JSON is wrong: the parser will. */
function assertWithinLimits(body: Uint8Array): void {
  let depth = 0;
  let tokens = 0;
  let position = 0;
  while (position < body.length) {
    const byte = body[position] ?? 0;
    if (BETWEEN.has(byte)) {
      position += 1;
    } else if (CLOSING.has(byte)) {
      depth -= 1;
      position += 1;
    } else {
      tokens += 1;
      if (OPENING.has(byte)) depth += 1;
      if (depth > MAX_DEPTH) throw tooDeep();
      if (tokens > MAX_TOKENS)
        throw new Malformed(`The body has more than ${String(MAX_TOKENS)} tokens`);
      position = endOfToken(body, position);
    }
  }
}

function endOfToken(body: Uint8Array, start: number): number {
  const byte = body[start] ?? 0;
  if (OPENING.has(byte)) return start + 1;
  if (byte === QUOTE) return endOfString(body, start);
  let end = start + 1;
  while (end < body.length && !isBoundary(body[end] ?? 0)) end += 1;
  return end;
}

const isBoundary = (byte: number): boolean =>
  byte === QUOTE || BETWEEN.has(byte) || OPENING.has(byte) || CLOSING.has(byte);

function endOfString(body: Uint8Array, start: number): number {
  let quote = body.indexOf(QUOTE, start + 1);
  while (quote !== -1 && isEscaped(body, quote, start)) quote = body.indexOf(QUOTE, quote + 1);
  return quote === -1 ? body.length : quote + 1;
}

/** Whether an odd number of backslashes stands before it. */
function isEscaped(body: Uint8Array, quote: number, start: number): boolean {
  let first = quote;
  while (first - 1 > start && body[first - 1] === BACKSLASH) first -= 1;
  return (quote - first) % 2 === 1;
}
