import { expect, test } from 'vitest';

import { rateLimitMs } from '../../src/hosts/rate-limit.ts';

const now = Date.parse('2026-11-20T12:00:00Z');
const inSeconds = (seconds: number): string => String(now / 1000 + seconds);

const delay = (status: number, headers: Record<string, string> = {}, text = ''): number | null =>
  rateLimitMs({ status, headers: new Headers(headers), text }, now);

test.each([
  ['429 alone', delay(429), 60_000],
  ['the seconds of Retry-After', delay(429, { 'retry-after': '30' }), 30_000],
  ['its date', delay(429, { 'retry-after': 'Fri, 20 Nov 2026 12:02:00 GMT' }), 120_000],
  ['nonsense in it', delay(429, { 'retry-after': 'soon' }), 60_000],
  ['the time of the reset', delay(429, { 'x-ratelimit-reset': inSeconds(90) }), 90_000],
  ["GitLab's name for it", delay(429, { 'ratelimit-reset': inSeconds(90) }), 90_000],
  ['seconds until the reset', delay(429, { 'x-ratelimit-reset': '45' }), 45_000],
  ['a fraction of a second', delay(429, { 'x-ratelimit-reset': `${inSeconds(2)}.25` }), 2250],
  ['a time that has passed', delay(429, { 'x-ratelimit-reset': inSeconds(-90) }), 1000],
  ['a delay without end', delay(429, { 'retry-after': '999999999' }), 7_200_000],
  [
    'Retry-After before the reset',
    delay(403, { 'retry-after': '5', 'x-ratelimit-reset': '9' }),
    5000,
  ],
  [
    "GitHub's 403 when nothing is left",
    delay(403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inSeconds(600) }),
    600_000,
  ],
  ["GitHub's second limit", delay(403, {}, 'You have exceeded a secondary rate limit'), 60_000],
  ['a host that is down for a while', delay(503, { 'retry-after': '10' }), 10_000],
])('heeds %s', (_, given, delayMs) => {
  expect(given).toBe(delayMs);
});

test.each([
  [
    'a right that is missing',
    delay(403, { 'x-ratelimit-remaining': '4999' }, 'Must have admin rights'),
  ],
  ['a host that is down', delay(503)],
  ['an error', delay(500, { 'retry-after': '5' })],
  ['success', delay(200, { 'x-ratelimit-remaining': '0' })],
])('takes %s for no limit', (_, given) => {
  expect(given).toBeNull();
});
