import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import type { UnprivilegedUser } from '../../src/platform/unprivileged-user.ts';

/**
 * The watchdog ends the servers of a run that was killed: it reads the ids of their process groups from its standard
 * input, and when that ends without the word `done`, it ends those groups and removes their folder.
 */
const WATCHDOG = `
trap '' INT TERM HUP
groups=''
while read -r word rest; do
  case $word in watch) groups=$rest ;; done) exit 0 ;; esac
done
alive() { for group in $groups; do kill -0 -- "-$group" 2>/dev/null && return 0; done; return 1; }
for group in $groups; do kill -s "$1" -- "-$group" 2>/dev/null; done
tries=0
while alive && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
rm -rf -- "$2"
`;

// A test process whose runner was killed would go on until its test times out, and its servers with it.
process.once('disconnect', () => {
  process.exit(1);
});

/** A temporary folder and the processes that work in it. None of them outlives this process, however it ends. */
export class Enclosure {
  readonly folder: string;
  private readonly watchdog: ChildProcess;
  private readonly children = new Set<Child>();

  constructor(
    private readonly user: UnprivilegedUser | null,
    lastSignal: NodeJS.Signals,
  ) {
    this.folder = mkdtempSync(join(tmpdir(), 'jobledger-test-'));
    if (user !== null) chownSync(this.folder, user.uid, user.gid);
    this.watchdog = spawn(
      'sh',
      ['-c', WATCHDOG, 'watchdog', lastSignal.replace('SIG', ''), this.folder],
      { detached: true, stdio: ['pipe', 'ignore', 'ignore'] },
    );
    this.watchdog.unref();
    this.watchdog.stdin?.on('error', () => {});
  }

  /** Starts a program as the leader of its own process group, with the folder as its home. */
  spawn(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Child {
    const { folder, user } = this;
    const program = spawn(command, args, {
      cwd: folder,
      detached: true,
      env: { PATH: process.env['PATH'], LC_ALL: 'C', HOME: folder, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(user && { uid: user.uid, gid: user.gid }),
    });
    const child = new Child(program, command);
    this.children.add(child);
    this.tellWatchdog();
    const forget = (): void => {
      this.children.delete(child);
      this.tellWatchdog();
    };
    child.ended.then(forget, forget);
    return child;
  }

  /** Runs a program to its end; throws what it printed when it fails. */
  async run(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const child = this.spawn(command, args, env);
    const code = await child.ended;
    if (code !== 0) {
      throw new Error(
        `${command} ${args.join(' ')} ended with ${String(code)}:\n${child.output()}`,
      );
    }
    return child.output();
  }

  /** Removes the folder. Programs that still run are killed. */
  async close(): Promise<void> {
    for (const child of this.children) child.signal('SIGKILL', 'group');
    await Promise.allSettled([...this.children].map(async (child) => child.ended));
    if (this.watchdog.exitCode === null) {
      const ended = once(this.watchdog, 'exit');
      this.watchdog.ref();
      this.watchdog.stdin?.end('done\n');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private tellWatchdog(): void {
    this.watchdog.stdin?.write(`watch ${[...this.children].map(({ group }) => group).join(' ')}\n`);
  }
}

/** A running program and its process group. */
export class Child {
  /** The exit code, or null after a signal, once the process and everything in its group are gone. */
  readonly ended: Promise<number | null>;
  readonly group: number;
  private text = '';

  constructor(program: ChildProcess, command: string) {
    this.group = program.pid ?? 0;
    const failed = new Promise<never>((_, reject) => {
      program.once('error', (cause) => {
        reject(new Error(`${command} could not be started`, { cause }));
      });
    });
    this.ended = Promise.race([failed, this.end(program)]);
    // Whoever waits for the end hears of it; nobody has to.
    this.ended.catch(() => {});
    for (const stream of [program.stdout, program.stderr]) this.collect(stream);
  }

  /** The last lines that the program printed. */
  output(): string {
    return this.text;
  }

  /** Signals the program alone, or everything in its group; nothing happens when it is gone. */
  signal(name: NodeJS.Signals, to: 'program' | 'group' = 'program'): void {
    if (!this.isGroupAlive()) return;
    process.kill(to === 'group' ? -this.group : this.group, name);
  }

  private async end(program: ChildProcess): Promise<number | null> {
    const [code] = (await once(program, 'exit')) as [number | null];
    while (this.isGroupAlive()) await sleep(10);
    return code;
  }

  private isGroupAlive(): boolean {
    try {
      return this.group !== 0 && process.kill(-this.group, 0);
    } catch {
      return false;
    }
  }

  private collect(stream: Readable | null): void {
    stream?.setEncoding('utf8');
    stream?.on('data', (part: string) => {
      this.text = (this.text + part).slice(-8_000);
    });
    // Output alone must not keep a finished run alive.
    if (stream !== null && 'unref' in stream) (stream as unknown as { unref(): void }).unref();
  }
}
