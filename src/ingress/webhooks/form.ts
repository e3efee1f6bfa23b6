import { Malformed } from './provider.ts';

const FIELD = Buffer.from('payload=');
const AMPERSAND = 0x26;
const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;

/**
 * The bytes of the field `payload`, the only one, of an `application/x-www-form-urlencoded` body.
 * `URLSearchParams` would mend invalid UTF-8 and take the first of several fields; both are refused.
 * One pass over the bytes, as Gitea's signature needs it before anything is known to be authentic.
 */
export function formPayload(body: Buffer): Buffer {
  if (!body.subarray(0, FIELD.length).equals(FIELD) || body.includes(AMPERSAND)) {
    throw new Malformed('The form must have one field, "payload", that holds the JSON');
  }
  return decode(body.subarray(FIELD.length));
}

function decode(encoded: Buffer): Buffer {
  const decoded = Buffer.allocUnsafe(encoded.length);
  let length = 0;
  for (let index = 0; index < encoded.length; index += 1) {
    const byte = encoded[index] ?? 0;
    if (byte === PERCENT) {
      decoded[length] = hexDigit(encoded[index + 1]) * 16 + hexDigit(encoded[index + 2]);
      index += 2;
    } else {
      decoded[length] = byte === PLUS ? SPACE : byte;
    }
    length += 1;
  }
  return decoded.subarray(0, length);
}

function hexDigit(byte: number | undefined): number {
  const digit = byte === undefined ? Number.NaN : Number.parseInt(String.fromCodePoint(byte), 16);
  if (!Number.isNaN(digit)) return digit;
  throw new Malformed('The form field "payload" has a "%" that is not followed by two hex digits');
}

/** The form that carries this JSON. */
export function formBody(json: string): Buffer {
  return Buffer.from(new URLSearchParams({ payload: json }).toString());
}
