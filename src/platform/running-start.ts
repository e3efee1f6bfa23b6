import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a running `start` tells the command line of the same `DATA_DIR`. */
export type RunningStart = Readonly<{
  pid: number;
  databaseUrl: string;
  dashboard: string;
  ingress: string;
  /** Health and metrics. */
  admin: string;
  /** Path of the module with its workflows; null: the built-in ones. */
  workflows: string | null;
}>;

const pathOf = (dataDir: string): string => join(dataDir, 'running.json');

export function announceStart(dataDir: string, running: RunningStart): void {
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(pathOf(dataDir), `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 });
}

export function withdrawStart(dataDir: string): void {
  if (readFile(dataDir)?.pid === process.pid) rmSync(pathOf(dataDir), { force: true });
}

/** The `start` that runs with its data in `dataDir`; null when none does, or the one that did was killed. */
export function runningStart(dataDir: string): RunningStart | null {
  const running = readFile(dataDir);
  return running !== null && isAlive(running.pid) ? running : null;
}

function readFile(dataDir: string): RunningStart | null {
  try {
    // Only `announceStart` writes it.
    return JSON.parse(readFileSync(pathOf(dataDir), 'utf8')) as RunningStart;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
