import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import type { WebhookSource } from '../../platform/webhook-sources.ts';

/** The secrets of a source that deliveries may be signed with now. An empty one signs nothing. */
export function activeSecrets(source: WebhookSource, now: Date): readonly string[] {
  return source.secrets
    .filter(({ value, expiresAt }) => value !== '' && (expiresAt === null || expiresAt > now))
    .map(({ value }) => value);
}

/** The digest of a header of the form `<prefix><64 lower-case hex digits>`; null for anything else. */
export function hexDigest(header: string | undefined, prefix: string): Buffer | null {
  if (header?.startsWith(prefix) !== true) return null;
  const hex = header.slice(prefix.length);
  return /^[0-9a-f]{64}$/.test(hex) ? Buffer.from(hex, 'hex') : null;
}

/**
 * Whether one of the keys makes this HMAC-SHA256 of the bytes. Every key is tried and every comparison
 * takes the same time, so the time says neither which key nor how much of the digest was right.
 */
export function isSignedByAny(
  digest: Buffer | null,
  keys: readonly (string | Buffer)[],
  ...bytes: readonly (string | Buffer)[]
): boolean {
  if (digest?.length !== DIGEST_BYTES) return false;
  let found = false;
  for (const key of keys) {
    const hmac = createHmac('sha256', key);
    for (const part of bytes) hmac.update(part);
    if (timingSafeEqual(hmac.digest(), digest)) found = true;
  }
  return found;
}

const DIGEST_BYTES = 32;

/** Whether a shared secret was sent as it is. The time does not depend on where or how long it differs. */
export function isAnyOf(given: string | Buffer, secrets: readonly string[]): boolean {
  const digest = createHmac('sha256', COMPARISON_KEY).update(given).digest();
  let found = false;
  for (const secret of secrets) {
    const expected = createHmac('sha256', COMPARISON_KEY).update(secret).digest();
    if (timingSafeEqual(expected, digest)) found = true;
  }
  return found;
}

const COMPARISON_KEY = randomBytes(32);
