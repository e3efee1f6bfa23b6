import type { Append, ExpectedVersion } from './event-store.ts';
import type { Upcasters } from './upcast.ts';

/** A command as it travels: checked, and its data as JSON text. */
export type EncodedAppend = Readonly<{
  streamId: string;
  expected: ExpectedVersion;
  events: readonly EncodedEvent[];
  bytes: number;
}>;

export type EncodedEvent = Readonly<{
  id: string;
  type: string;
  schemaVersion: number;
  at: Date;
  data: string;
  metadata: string;
}>;

/** What a row costs beside its data: a batch of many empty events is not free. */
const ROW_BYTES = 200;

const LONE_SURROGATE = /\p{Surrogate}/u;

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;

/** Throws a `TypeError` for what no log could store: a mistake of the caller, which no retry mends. */
export function encodeAppend(command: Append, upcasters: Upcasters): EncodedAppend {
  assertText('stream id', command.streamId);
  assertExpected(command.expected);
  let bytes = 0;
  const events = command.events.map(({ id, type, at, data, metadata = {} }): EncodedEvent => {
    assertText('event type', type);
    if (!UUID.test(id)) throw new TypeError(`The event id ${JSON.stringify(id)} is not a UUID`);
    if (Number.isNaN(at.getTime())) throw new TypeError(`The time of ${type} is an invalid Date`);
    const event = {
      id: id.toLowerCase(),
      type,
      schemaVersion: upcasters.currentVersion(type),
      at,
      data: toJson(type, data),
      metadata: toJson(type, metadata),
    };
    bytes += event.data.length + event.metadata.length + ROW_BYTES;
    return event;
  });
  return { streamId: command.streamId, expected: command.expected, events, bytes };
}

export const hasRepeatedId = ({ events }: EncodedAppend): boolean =>
  events.length > 1 && new Set(events.map(({ id }) => id)).size < events.length;

/** Postgres stores no U+0000 in text, and UTF-8 has no lone surrogates; in JSON both are escapes and survive. */
function assertText(what: string, text: string): void {
  if (text === '') throw new TypeError(`The ${what} is empty`);
  if (text.includes('\0') || LONE_SURROGATE.test(text)) {
    throw new TypeError(`The ${what} ${JSON.stringify(text)} cannot be stored as text`);
  }
}

function assertExpected(expected: ExpectedVersion): void {
  if (expected === 'any' || expected === 'exists') return;
  if (!Number.isInteger(expected) || expected < 0) {
    throw new TypeError(`${String(expected)} is no version that a stream can be expected at`);
  }
}

function toJson(type: string, value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`The data of ${type} is not JSON`);
  return text;
}
