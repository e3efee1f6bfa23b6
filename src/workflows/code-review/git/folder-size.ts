import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 250;

/** Bytes of all files below; what vanishes while it counts is not counted. */
export async function folderSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => stat(join(entry.parentPath, entry.name)).then(({ size }) => size, nothing)),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

const nothing = (): number => 0;

/** Runs `work` and aborts its signal with `tooLarge` as soon as the folder holds more than so many bytes. */
export async function withSizeBound<T>(
  bound: Readonly<{ folder: string; bytes: number; tooLarge: () => Error }>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const done = new AbortController();
  const watching = watch(bound, over, done.signal);
  try {
    const result = await work(over.signal);
    if ((await folderSize(bound.folder)) > bound.bytes) throw bound.tooLarge();
    return result;
  } finally {
    done.abort();
    await watching;
  }
}

async function watch(
  { folder, bytes, tooLarge }: Readonly<{ folder: string; bytes: number; tooLarge: () => Error }>,
  over: AbortController,
  done: AbortSignal,
): Promise<void> {
  while (!done.aborted) {
    await delay(LOOK_EVERY_MS, undefined, { signal: done }).catch(() => undefined);
    if (!done.aborted && (await folderSize(folder)) > bytes) {
      over.abort(tooLarge());
      return;
    }
  }
}
