import type { UnverifiedDelivery, Verdict } from './provider.ts';
import { isAnyOf, isSignedByAny } from './signature.ts';

const SIGNING = 'whsec_';
const TOLERANCE_SECONDS = 300;
const MAX_SIGNATURES = 10;

/**
 * Either a signature by the Standard Webhooks scheme or the plain token. A request that carries a
 * signature is judged by it alone, and a signing token never counts as a plain one.
 */
export function verifyGitlab(delivery: UnverifiedDelivery): Verdict {
  const { headers, secrets } = delivery;
  const isAuthentic =
    headers['webhook-signature'] === undefined
      ? hasToken(headers['x-gitlab-token'], secrets)
      : isSigned(delivery, headers['webhook-signature']);
  return isAuthentic ? 'authentic' : 'not-authentic';
}

function hasToken(token: string | undefined, secrets: readonly string[]): boolean {
  const plain = secrets.filter((secret) => !secret.startsWith(SIGNING));
  // Node gives header bytes as Latin-1.
  return token !== undefined && token !== '' && isAnyOf(Buffer.from(token, 'latin1'), plain);
}

function isSigned({ headers, body, secrets, now }: UnverifiedDelivery, list: string): boolean {
  const id = headers['webhook-id'] ?? '';
  const timestamp = headers['webhook-timestamp'] ?? '';
  const signatures = list.split(' ');
  if (id === '' || !isRecent(timestamp, now) || signatures.length > MAX_SIGNATURES) return false;
  const keys = secrets.flatMap(signingKey);
  return signatures
    .map((each) => isSignedByAny(digest(each), keys, `${id}.${timestamp}.`, body))
    .some(Boolean);
}

function isRecent(timestamp: string, now: Date): boolean {
  if (!/^\d{1,12}$/.test(timestamp)) return false;
  return Math.abs(now.getTime() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS;
}

/** Of another version than v1 it says nothing. */
function digest(signature: string): Buffer | null {
  const [, base64] = /^v1,([A-Za-z0-9+/]{43}=)$/.exec(signature) ?? [];
  return base64 === undefined ? null : Buffer.from(base64, 'base64');
}

function signingKey(secret: string): Buffer[] {
  if (!secret.startsWith(SIGNING)) return [];
  const key = Buffer.from(secret.slice(SIGNING.length), 'base64');
  return key.length === 0 ? [] : [key];
}
