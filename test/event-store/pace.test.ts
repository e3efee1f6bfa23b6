import { describe, expect, test } from 'vitest';

import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { Pace } from '../../src/event-store/pace.ts';

const NEVER = new AbortController().signal;
const HOUR_MS = 3_600_000;

/** Whether it is done within the time, which only says no to what would wait for an hour. */
const isSoon = async (work: Promise<void>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, 200, false);
  });
  const soon = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return soon;
};

describe('the pace of a follower', () => {
  test('has no rest while there is much', async () => {
    const pace = new Pace(new LocalLogHints(), HOUR_MS);
    pace.begin();
    expect(await isSoon(pace.next({ taken: 1_000, more: true }, NEVER))).toBe(true);
  });

  test('rests after a few events, also when more are there', async () => {
    const pace = new Pace(new LocalLogHints(), HOUR_MS);
    const ended = new AbortController();
    pace.begin();
    const next = pace.next({ taken: 2, more: true }, ended.signal);
    expect(await isSoon(next)).toBe(false);
    ended.abort();
    await next;
  });

  test('takes at once what comes after a quiet moment', async () => {
    const hints = new LocalLogHints();
    const pace = new Pace(hints, HOUR_MS);
    pace.begin();
    const next = pace.next({ taken: 0, more: false }, NEVER);
    hints.announce();
    expect(await isSoon(next)).toBe(true);
  });

  test('does not wait for what was announced while the page was read', async () => {
    const hints = new LocalLogHints();
    const pace = new Pace(hints, 0);
    pace.begin();
    hints.announce();
    const before = performance.now();
    await pace.next({ taken: 1, more: false }, NEVER);
    expect(performance.now() - before).toBeLessThan(200);
  });
});
