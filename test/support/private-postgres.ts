import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { Client } from 'pg';

import { freePort } from '../../src/platform/free-port.ts';
import { unprivilegedUser } from '../../src/platform/unprivileged-user.ts';
import { type Child, Enclosure } from './child.ts';
import { eventually } from './eventually.ts';
import { postgresPrograms } from './programs.ts';

type Options = Readonly<{
  /** Settings of postgresql.conf beyond what the tests need. */
  settings?: Readonly<Record<string, string>>;
}>;

/** A Postgres of our own, with its data in a temporary folder and `fsync` on. It comes back on the same port. */
export class PrivatePostgres {
  readonly url: string;
  private server: Child | null = null;

  private constructor(
    private readonly enclosure: Enclosure,
    private readonly programs: string,
    private readonly port: number,
    private readonly settings: Readonly<Record<string, string>>,
  ) {
    this.url = `postgres://postgres@127.0.0.1:${String(port)}/postgres`;
  }

  static async start({ settings = {} }: Options = {}): Promise<PrivatePostgres> {
    const programs = postgresPrograms();
    const enclosure = new Enclosure(unprivilegedUser(['postgres', 'nobody']), 'SIGQUIT');
    const postgres = new PrivatePostgres(enclosure, programs, await freePort(), settings);
    try {
      await postgres.start();
    } catch (error) {
      await postgres.close();
      throw error;
    }
    return postgres;
  }

  /** Resolves when it accepts connections. A folder that was wiped becomes a new, empty cluster. */
  async start(): Promise<void> {
    if (this.server !== null) return;
    if (!existsSync(this.data)) await this.initialise();
    await eventually(() => this.launch(), { timeoutMs: 20_000, everyMs: 100 });
  }

  /** Stops as an administrator would: clients are disconnected, everything is on disk. */
  async stop(): Promise<void> {
    await this.end('SIGINT');
  }

  /** Ends it like a loss of power: no goodbye to clients, recovery at the next start. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Loses everything it has stored; `start` then begins with an empty cluster. */
  async wipe(): Promise<void> {
    await this.kill();
    this.freeSharedMemory();
    rmSync(this.data, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.end('SIGINT');
    this.freeSharedMemory();
    await this.enclosure.close();
  }

  private get data(): string {
    return join(this.enclosure.folder, 'data');
  }

  private async initialise(): Promise<void> {
    await this.enclosure.run(join(this.programs, 'initdb'), [
      `--pgdata=${this.data}`,
      '--username=postgres',
      '--auth=trust',
      '--encoding=UTF8',
      '--no-locale',
      '--no-sync',
    ]);
  }

  private async launch(): Promise<void> {
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: this.enclosure.folder,
      max_connections: '300',
      ...this.settings,
    };
    const server = this.enclosure.spawn(join(this.programs, 'postgres'), [
      '-D',
      this.data,
      '-p',
      String(this.port),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ]);
    let hasEnded = false;
    const ended = server.ended.finally(() => {
      hasEnded = true;
    });
    await eventually(() => (hasEnded ? null : this.ping()), { timeoutMs: 30_000, everyMs: 25 });
    if (hasEnded) {
      await ended;
      throw new Error(`Postgres did not start:\n${server.output()}`);
    }
    this.server = server;
  }

  private async ping(): Promise<void> {
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: 2_000 });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query('select 1');
    } finally {
      await client.end().catch(() => {});
    }
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { server } = this;
    this.server = null;
    server?.signal(signal);
    await server?.ended;
  }

  /** A killed Postgres leaves a few bytes of System V memory behind that only a restart or this gives back. */
  private freeSharedMemory(): void {
    const pidFile = join(this.data, 'postmaster.pid');
    if (!existsSync(pidFile)) return;
    const [, id] = readFileSync(pidFile, 'utf8').split('\n')[6]?.trim().split(/\s+/) ?? [];
    if (id === undefined) return;
    try {
      execFileSync('ipcrm', ['-m', id], { stdio: 'ignore' });
    } catch {
      // Not every system has the program, and it is only a few bytes.
    }
  }
}
