import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import type { LoadOrder, LoadResult } from './load.ts';

/** A process that takes webhooks. */
export type Target = Readonly<{ child: ChildProcess; port: number; startMs: number }>;

type Env = Readonly<Record<string, string>>;

const beside = (name: string): string => new URL(`./${name}.js`, import.meta.url).pathname;

/** The built program's ingress, whose log goes to a file, as it does in production. */
export async function startIngress(folder: string, env: Env): Promise<Target> {
  const logFile = join(folder, `ingress-${String(process.hrtime.bigint())}.log`);
  const log = openSync(logFile, 'w');
  const began = performance.now();
  const program = resolve('dist/cli/main.js');
  const child = spawn(process.execPath, [...profiling(), program, 'ingress'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', INGRESS_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', log],
  });
  closeSync(log);
  const port = await portIn(logFile, child);
  return { child, port, startMs: performance.now() - began };
}

/** `BENCH_NODE_OPTIONS=--cpu-prof` and the like, to look into what was measured. */
const profiling = (): readonly string[] =>
  (process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter((option) => option !== '');

async function portIn(logFile: string, child: ChildProcess): Promise<number> {
  for (;;) {
    const log = readFileSync(logFile, 'utf8');
    const [, port] = /"port":(\d+)[^\n]*"msg":"takes webhooks"/.exec(log) ?? [];
    if (port !== undefined) return Number(port);
    if (child.exitCode !== null) throw new Error(`The ingress ended:\n${log}`);
    await setTimeout(5);
  }
}

export async function startPeer(kind: 'fastify' | 'nest', env: Env): Promise<Target> {
  const began = performance.now();
  const child = fork(beside('peer'), {
    env: { PATH: process.env['PATH'] ?? '', KIND: kind, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, port, startMs: performance.now() - began };
}

export async function stop({ child }: Target): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** Sends what is ordered, from a process of its own. */
export async function load(order: LoadOrder): Promise<LoadResult> {
  const child = fork(beside('load'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.send(order);
  const [result] = (await once(child, 'message')) as [LoadResult];
  child.kill();
  return result;
}

/** What a process has used of the processors so far, in seconds; NaN where the system does not say. */
export function cpuSeconds({ child }: Target): number {
  try {
    const stat = readFileSync(`/proc/${String(child.pid)}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // User and system time, in hundredths of a second.
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}

/** The memory of a process in MB (10^6 bytes); NaN where the system does not say. */
export function residentMegabytes({ child }: Target): number {
  try {
    const status = readFileSync(`/proc/${String(child.pid)}/status`, 'utf8');
    return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
  } catch {
    return Number.NaN;
  }
}
