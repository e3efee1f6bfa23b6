import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

import type { Client } from 'pg';

import { backoffMs, pause } from './backoff.ts';
import { connectOnceUp, embeddedUrl, ensureDatabase, own } from './embedded-owner.ts';
import { OWNER } from './embedded-cluster.ts';
import type { Place } from './embedded-place.ts';
import type { Logger } from './logger.ts';
import { endPostmaster, isPostmaster } from './postmaster.ts';

type Options = Readonly<{
  place: Place;
  program: string;
  port: number;
  password: string;
  logFile: string;
  logger: Logger;
}>;

/** A run of the program: `ended` resolves when it is gone. In an object, because a promise of a promise is one. */
type Run = Readonly<{ ended: Promise<void> }>;

/** A Postgres as a child of this process: started again when it ends by itself, and ended with this process. */
export class EmbeddedServer {
  readonly url: string;
  private readonly stopping = new AbortController();
  private child: ChildProcess | null = null;
  private owner: Client | null = null;
  private supervision: Promise<void> = Promise.resolve();
  private readonly endWithProcess = (): void => {
    this.child?.kill('SIGINT');
  };

  constructor(private readonly options: Options) {
    this.url = embeddedUrl(options.port, options.password, OWNER);
  }

  /** Resolves when it accepts connections; throws what it printed when it doesn't start. */
  async start(): Promise<void> {
    process.once('exit', this.endWithProcess);
    this.supervision = this.supervise(await this.launch());
  }

  /** Disconnects everyone; resolves when everything is on disk and the program is gone. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.endChild();
    await this.supervision;
    process.off('exit', this.endWithProcess);
  }

  private async supervise(first: Run): Promise<void> {
    let run: Run | null = first;
    for (let tries = 1; ; tries += 1) {
      await run?.ended;
      if (this.stopping.signal.aborted) return;
      this.options.logger.error({ tries }, 'the embedded Postgres is down: starting it again');
      await pause(backoffMs(tries), this.stopping.signal);
      run = await this.launch().catch((error: unknown) => {
        this.options.logger.error({ err: error }, 'the embedded Postgres did not start');
        return null;
      });
      if (run !== null) tries = 0;
    }
  }

  private async launch(): Promise<Run> {
    const { password, port, logFile } = this.options;
    const child = this.spawn();
    this.child = child;
    const run = { ended: endOf(child) };
    const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
    const owner = await connectOnceUp(embeddedUrl(port, password, 'postgres'), isRunning);
    if (owner === null || !(await own(owner))) {
      await this.endChild();
      const printed = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-8).join('\n');
      throw new Error(`The embedded Postgres did not start (${logFile}):\n${printed}`);
    }
    await ensureDatabase(owner);
    this.owner = owner;
    if (this.stopping.signal.aborted) await this.endChild();
    return run;
  }

  private spawn(): ChildProcess {
    const { place, program, port, logFile } = this.options;
    const log = openSync(logFile, 'a', 0o600);
    try {
      const child = spawn(program, settings(place.data, port), {
        cwd: place.data,
        // In a group of its own: an interrupt from the terminal is for us, and we end it last.
        detached: true,
        stdio: ['ignore', log, log],
        ...(process.platform !== 'win32' && { env: { LC_ALL: 'C', TZ: 'UTC' } }),
        ...(place.account && { uid: place.account.uid, gid: place.account.gid }),
      });
      watch(child);
      return child;
    } finally {
      closeSync(log);
    }
  }

  private async endChild(): Promise<void> {
    await this.owner?.end().catch(() => {});
    this.owner = null;
    const pid = this.child?.pid;
    const { data } = this.options.place;
    if (pid !== undefined && isPostmaster(pid, data)) await endPostmaster(pid, data);
  }
}

function settings(data: string, port: number): string[] {
  const values = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // Everyone comes over the loopback with the password.
    unix_socket_directories: '',
    max_connections: '100',
  };
  return ['-D', data, ...Object.entries(values).map(([name, value]) => `--${name}=${value}`)];
}

async function endOf(child: ChildProcess): Promise<void> {
  await once(child, 'exit').catch(() => {
    // A program that could not be started has ended as well; the launch tells why.
  });
}

/** Ends the server when this process is killed and can't: the shell's input ends with us. */
function watch(child: ChildProcess): void {
  if (process.platform === 'win32' || child.pid === undefined) return;
  const script = 'trap "" INT TERM HUP; read -r line || kill -INT "$1"';
  const watchdog = spawn('sh', ['-c', script, 'jobledger-watchdog', String(child.pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.on('error', () => {
    // Without a shell, the next start ends what a killed process left running.
  });
  watchdog.stdin.on('error', () => {});
  watchdog.unref();
  child.once('exit', () => {
    watchdog.stdin.end('ended\n');
  });
}
