import type { IncomingMessage, OutgoingMessage } from './transport.ts';

/** A message as it travels: bytes and properties. */
export type Parcel = Readonly<{
  exchange: string;
  routingKey: string;
  messageId: string;
  content: Buffer;
  contentType: string;
  headers: Readonly<Record<string, unknown>>;
  mandatory: boolean;
  priority: number | undefined;
}>;

/** The content of a message is not JSON: no consumer can handle it. */
class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

/** The routing key that a redriven message was first published with: it goes back to its own queue and no other. */
export const ROUTING_KEY = 'x-routing-key';

const JSON_TYPE = 'application/json';
const RAW_TYPE = 'application/octet-stream';
/** AMQP carries keys and ids with a length of one byte. */
const MAX_NAME_BYTES = 255;

export function pack(message: OutgoingMessage): Parcel {
  assertFits('routing key', message.routingKey);
  assertFits('message id', message.messageId);
  const { raw } = message;
  return {
    exchange: message.exchange,
    routingKey: message.routingKey,
    messageId: message.messageId,
    content: raw ?? Buffer.from(JSON.stringify(message.body ?? null)),
    contentType: raw === undefined ? JSON_TYPE : RAW_TYPE,
    headers: message.headers ?? {},
    mandatory: message.mandatory ?? false,
    priority: message.priority,
  };
}

/** Throws `Unreadable` when the content is not what its type says. */
export function unpack(
  parcel: Parcel,
  { queue, deliveryCount }: Readonly<{ queue: string; deliveryCount: number }>,
): IncomingMessage {
  const { messageId, headers, content } = parcel;
  const routingKey = originalRoutingKey(parcel);
  const envelope = { queue, routingKey, messageId, headers, deliveryCount };
  return parcel.contentType === RAW_TYPE
    ? { ...envelope, body: undefined, raw: content }
    : { ...envelope, body: parse(content) };
}

/** The routing key of the first publication, also after a redrive. */
export function originalRoutingKey({ headers, routingKey }: Parcel): string {
  const original = headers[ROUTING_KEY];
  return typeof original === 'string' ? original : routingKey;
}

function parse(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString('utf8'));
  } catch (error) {
    throw new Unreadable('The body is not JSON', { cause: error });
  }
}

function assertFits(what: string, text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_NAME_BYTES) return;
  const start = text.slice(0, 40);
  throw new RangeError(
    `The ${what} "${start}…" has ${String(bytes)} bytes: the most is ${String(MAX_NAME_BYTES)}`,
  );
}
