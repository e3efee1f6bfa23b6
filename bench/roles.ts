import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** A process that serves a port. */
export type Target = Readonly<{ child: ChildProcess; port: number; startMs: number }>;

export type Env = Readonly<Record<string, string>>;

/** What each role of the program says when it listens. */
const LISTENS = { ingress: 'takes webhooks', api: 'serves the API and the dashboard' } as const;

/** One role of the built program, whose log goes to a file, as it does in production. */
export async function startRole(
  role: keyof typeof LISTENS,
  folder: string,
  env: Env,
): Promise<Target> {
  const logFile = join(folder, `${role}-${String(process.hrtime.bigint())}.log`);
  const log = openSync(logFile, 'w');
  const began = performance.now();
  const program = resolve('dist/cli/main.js');
  const child = spawn(process.execPath, [...nodeOptions(), program, role], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', INGRESS_PORT: '0', API_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', log],
  });
  closeSync(log);
  const listens = new RegExp(`"port":(\\d+)[^\\n]*"msg":"${LISTENS[role]}"`);
  for (;;) {
    const text = readFileSync(logFile, 'utf8');
    const [, port] = listens.exec(text) ?? [];
    if (port !== undefined)
      return { child, port: Number(port), startMs: performance.now() - began };
    if (child.exitCode !== null) throw new Error(`The ${role} ended:\n${text}`);
    await setTimeout(5);
  }
}

/** `BENCH_NODE_OPTIONS=--cpu-prof` and the like, to look into what was measured. */
const nodeOptions = (): readonly string[] =>
  (process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter((option) => option !== '');

export async function stop({ child }: Target): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
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
