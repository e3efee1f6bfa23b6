import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

const TOUCH_EVERY_MS = 5000;
const STALE_AFTER_MS = 30_000;
const LOOK_AGAIN_MS = 50;

/**
 * Runs `work` while this process, of all on all machines that share the folder, holds the lock file.
 * A lock whose process has died is taken over. Waits until `signal` aborts.
 */
export async function withLock<T>(
  path: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const mine = JSON.stringify({ token: randomUUID(), host: hostname(), pid: process.pid });
  while (!(await take(path, mine))) {
    await removeIfDead(path);
    await delay(LOOK_AGAIN_MS, undefined, { signal });
  }
  const held = new AbortController();
  const touching = keepFresh(path, held.signal);
  try {
    return await work();
  } finally {
    held.abort();
    await touching;
    if ((await readFile(path, 'utf8').catch(() => null)) === mine) await rm(path, { force: true });
  }
}

async function take(path: string, mine: string): Promise<boolean> {
  try {
    await writeFile(path, mine, { flag: 'wx' });
    return true;
  } catch (error) {
    if (isError(error, 'EEXIST')) return false;
    throw error;
  }
}

async function keepFresh(path: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await delay(TOUCH_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    const now = new Date();
    if (!signal.aborted) await utimes(path, now, now).catch(() => undefined);
  }
}

async function removeIfDead(path: string): Promise<void> {
  const [text, found] = await Promise.all([
    readFile(path, 'utf8').catch(() => null),
    stat(path).catch(() => null),
  ]);
  if (text === null || found === null) return;
  if (Date.now() - found.mtimeMs < STALE_AFTER_MS && !isDeadHere(text)) return;
  // Only one of several waiters can move it away; one that was late gives the new holder's lock back.
  const aside = `${path}.${randomUUID()}`;
  await rename(path, aside).catch(() => undefined);
  const moved = await readFile(aside, 'utf8').catch(() => null);
  if (moved !== null && moved !== text) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

/** Whether its process was on this machine and is no more. */
function isDeadHere(text: string): boolean {
  const holder = /"host":(".*?"),"pid":(\d+)\}$/.exec(text);
  if (!holder || holder[1] !== JSON.stringify(hostname())) return false;
  try {
    process.kill(Number(holder[2]), 0);
    return false;
  } catch (error) {
    return isError(error, 'ESRCH');
  }
}

const isError = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
