import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  type CipherGCM,
  type DecipherGCM,
} from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A sealed text wherever it stands: whose it is, and what only that subject's key reads. */
export const SEALED =
  /sealed:([\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}):([\w-]{38,})/g;

/** The same for a text that is nothing else. */
export const isSealed = (text: string): boolean => new RegExp(`^(?:${SEALED.source})$`).test(text);

export const sealedText = (subjectId: string, key: Buffer, text: string): string =>
  `sealed:${subjectId}:${encrypt(key, Buffer.from(text)).toString('base64url')}`;

/** null when it was not sealed with this key. */
export const openedText = (key: Buffer, sealed: string): string | null =>
  decrypt(key, Buffer.from(sealed, 'base64url'))?.toString('utf8') ?? null;

/** The nonce follows from the text, so that the same text is the same when sealed, and can be looked for. */
export function encrypt(key: Buffer, text: Buffer): Buffer {
  const iv = createHmac('sha256', key).update(text).digest().subarray(0, IV_BYTES);
  const cipher: CipherGCM = createCipheriv(CIPHER, key, iv);
  const body = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]);
}

export function decrypt(key: Buffer, sealed: Buffer): Buffer | null {
  const body = sealed.subarray(IV_BYTES + TAG_BYTES);
  try {
    const decipher: DecipherGCM = createDecipheriv(CIPHER, key, sealed.subarray(0, IV_BYTES));
    decipher.setAuthTag(sealed.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    return Buffer.concat([decipher.update(body), decipher.final()]);
  } catch {
    return null;
  }
}

/** Two keys of one secret: what is known of the one says nothing of the other. */
export const derivedKey = (secret: string, purpose: 'names' | 'keys'): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, 'jobledger', purpose, 32));
