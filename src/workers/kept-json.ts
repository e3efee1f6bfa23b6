import type { Json } from '../events/event.ts';
import { NonRetriable } from '../sdk/errors.ts';

/** What one step, one result or one request may weigh in the log, as UTF-8. */
const MAX_KEPT_BYTES = 1_048_576;

/**
 * The value as JSON keeps it, a copy of its own: undefined becomes null, a Date its text. Throws `NonRetriable`,
 * naming `what`, where JSON would lose something in silence: another attempt would give the same value.
 */
export function toKeptJson(value: unknown, what: string): Json {
  const text = stringify(value, what);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_KEPT_BYTES) {
    throw new NonRetriable(
      `${what} is ${String(bytes)} bytes of JSON, and the log keeps ${String(MAX_KEPT_BYTES)}: store it elsewhere and return where`,
    );
  }
  return JSON.parse(text) as Json;
}

function stringify(value: unknown, what: string): string {
  try {
    return (
      JSON.stringify(value, (key, part: unknown) => {
        const fault = faultOf(part);
        if (fault === null) return part;
        const place = key === '' ? 'it is' : `"${key}" is`;
        throw new NonRetriable(`${what} must be JSON, and ${place} ${fault}`);
      }) ?? 'null'
    );
  } catch (error) {
    if (error instanceof NonRetriable) throw error;
    // JSON.stringify itself refuses cycles and nesting beyond the stack; a toJSON may throw anything.
    const why = error instanceof Error ? error.message : String(error);
    throw new NonRetriable(`${what} must be JSON: ${why}`, { cause: error });
  }
}

type TypeName = 'bigint' | 'function' | 'number' | 'object' | 'symbol';

/** What a part is that JSON has no place for, by its type; null: it has one. */
const FAULTS: Readonly<Partial<Record<string, (part: unknown) => string | null>>> = {
  bigint: (part) => `a BigInt: return ${String(part)} as text`,
  function: () => 'a function',
  symbol: () => 'a symbol',
  number: (part) =>
    Number.isFinite(part) ? null : `${String(part)}, which JSON has no number for`,
  object: (part) => (part === null ? null : faultOfObject(part as object)),
} satisfies Record<TypeName, (part: unknown) => string | null>;

const faultOf = (part: unknown): string | null => FAULTS[typeof part]?.(part) ?? null;

/** Objects that JSON would write as `{}`. */
const LOST_IN_JSON = [Map, Set, WeakMap, WeakSet, Promise, RegExp, Error, ArrayBuffer] as const;

function faultOfObject(part: object): string | null {
  if (ArrayBuffer.isView(part)) return 'binary: return it as base64 text';
  const type = LOST_IN_JSON.find((lost) => part instanceof lost);
  if (type === undefined) return null;
  return type === Promise ? 'a promise: await it' : `a ${type.name}`;
}
