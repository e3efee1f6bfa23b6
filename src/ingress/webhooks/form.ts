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

const HEX = '0123456789abcdef';
/** The value of each byte as a hex digit; 255 for every other byte. */
const DIGITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = HEX.indexOf(String.fromCodePoint(byte).toLowerCase());
  return digit === -1 ? 255 : digit;
});

function hexDigit(byte: number | undefined): number {
  const digit = DIGITS[byte ?? 0] ?? 255;
  if (digit < 16) return digit;
  throw new Malformed('The form field "payload" has a "%" that is not followed by two hex digits');
}

/** The form that carries this JSON. */
export function formBody(json: string): Buffer {
  return Buffer.from(new URLSearchParams({ payload: json }).toString());
}
