import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { backoffMs, pause } from './backoff.ts';

/** The main process of a Postgres, as its data folder tells. */
export type Postmaster = Readonly<{ pid: number; port: number }>;

/**
 * The Postgres that runs on a data folder. A file that a killed one left behind is removed when its process id now
 * belongs to another program, as it often does in a container: Postgres itself would refuse to start.
 */
export function runningPostmaster(data: string): Postmaster | null {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return null;
  const [pid, , , port] = readFileSync(file, 'utf8').split('\n').map(Number);
  if (pid === undefined || port === undefined || !(pid > 0)) return null;
  if (isPostmaster(pid, data)) return { pid, port };
  rmSync(file);
  return null;
}

/** Disconnects its clients and ends it; resolves when it is gone. */
export async function endPostmaster(pid: number, data: string): Promise<void> {
  const deadline = performance.now() + 15_000;
  process.kill(pid, 'SIGINT');
  const forever = new AbortController().signal;
  for (let tries = 1; isPostmaster(pid, data); tries += 1) {
    // Checkpoints may take long; data that is not on disk by then is recovered at the next start.
    if (performance.now() > deadline) process.kill(pid, 'SIGQUIT');
    await pause(backoffMs(tries, { firstMs: 20, maxMs: 200 }), forever);
  }
}

/** Whether a process lives and is the Postgres that works on this data. */
export function isPostmaster(pid: number, data: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Another account's process lives, but we may not signal it.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  return process.platform === 'win32' || commandOf(pid).includes(data);
}

function commandOf(pid: number): string {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8');
    return execFileSync('ps', ['-p', String(pid), '-o', 'args='], { encoding: 'utf8' });
  } catch {
    return '';
  }
}
