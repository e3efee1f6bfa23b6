const SHORTEST_MS = 1000;
const LONGEST_MS = 2 * 3_600_000;
/** What GitHub says to wait when it says nothing more exact. */
const USUAL_MS = 60_000;

type Answer = Readonly<{ status: number; headers: Headers; text: string }>;

/** For how long the host wants to be left alone; null when the answer is about something else. */
export function rateLimitMs(answer: Answer, now: number): number | null {
  if (!isRateLimit(answer)) return null;
  const { headers } = answer;
  const delayMs = retryAfterMs(headers, now) ?? resetMs(headers, now) ?? USUAL_MS;
  return Math.ceil(Math.min(Math.max(delayMs, SHORTEST_MS), LONGEST_MS));
}

/** GitHub answers its limits with 403 too, which is also what it says to a token without the right. */
function isRateLimit({ status, headers, text }: Answer): boolean {
  if (status === 429) return true;
  if (status === 503) return headers.has('retry-after');
  if (status !== 403) return false;
  return (
    headers.has('retry-after') ||
    headers.get('x-ratelimit-remaining') === '0' ||
    /\brate limit/i.test(text)
  );
}

function retryAfterMs(headers: Headers, now: number): number | null {
  const text = headers.get('retry-after');
  if (text === null) return null;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at - now;
}

/** The time at which the limit ends, in seconds since 1970; a small number is seconds from now. */
function resetMs(headers: Headers, now: number): number | null {
  const text = headers.get('x-ratelimit-reset') ?? headers.get('ratelimit-reset');
  if (text === null || !/^\d{1,12}(?:\.\d+)?$/.test(text)) return null;
  const seconds = Number(text);
  return seconds < 1_000_000_000 ? seconds * 1000 : seconds * 1000 - now;
}
