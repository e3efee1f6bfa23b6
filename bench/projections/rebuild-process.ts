import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';

export type Rebuilt = Readonly<{
  /** While it filled the tables. */
  perSecond: number;
  /** With the start of the process, the indexes and the swap. */
  perSecondInAll: number;
  megabytes: number;
}>;

/** `jobledger projections rebuild jobs` of the built program, as an operator runs it. */
export async function rebuildJobs(databaseUrl: string): Promise<Rebuilt> {
  const args = ['projections', 'rebuild', 'jobs', '--fresh', '--yes', '--json'];
  const began = performance.now();
  const child = spawn(process.execPath, [resolve('dist/cli/main.js'), ...args], {
    env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  const exited = once(child, 'exit');
  let megabytes = 0;
  while (child.exitCode === null && child.signalCode === null) {
    megabytes = Math.max(megabytes, peakMegabytes(child.pid));
    await Promise.race([exited, setTimeout(50)]);
  }
  const seconds = (performance.now() - began) / 1_000;
  if (child.exitCode !== 0) throw new Error(`The rebuild failed:\n${output}`);
  const [result] = JSON.parse(output) as [{ events: number; eventsPerSecond: number }];
  return {
    perSecond: result.eventsPerSecond,
    perSecondInAll: result.events / seconds,
    megabytes,
  };
}

/** The most that a process has had in memory so far, in MB (10^6 bytes); 0 where the system does not say. */
function peakMegabytes(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
    return (Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024) / 1e6;
  } catch {
    return 0;
  }
}
