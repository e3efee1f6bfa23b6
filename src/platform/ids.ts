import { createHash, randomFillSync } from 'node:crypto';

import { v7 } from 'uuid';

const JOBLEDGER = Buffer.from('d0a3c7f40f6b5e0e9a438f1c5e1d7b52', 'hex');

/** The same parts always give the same id (UUIDv5), so what is derived twice is one thing. */
export function derivedId(...parts: readonly string[]): string {
  const bytes = createHash('sha1').update(JOBLEDGER).update(JSON.stringify(parts)).digest();
  // Version 5 of the variant of RFC 9562.
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex', 0, ID_BYTES);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const ID_BYTES = 16;
/** Each call to the system's generator costs more than the rest of an id. */
const POOL = new Uint8Array(ID_BYTES * 256);
let used = POOL.length;

/** A new id that sorts by time (UUIDv7), which keeps index pages warm. */
export const newId = (): string => v7({ random: randomBytes() });

function randomBytes(): Uint8Array {
  if (used === POOL.length) {
    randomFillSync(POOL);
    used = 0;
  }
  used += ID_BYTES;
  return POOL.slice(used - ID_BYTES, used);
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The text where it is a UUID, for `id = any (…::uuid[])`: a column is not to be made text of, as no index knows it then. */
export const uuidIn = (text: string): readonly string[] => (UUID.test(text) ? [text] : []);
