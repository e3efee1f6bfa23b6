import { randomBytes } from 'node:crypto';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { freePort } from '../../src/platform/free-port.ts';
import { type UnprivilegedUser, unprivilegedUser } from '../../src/platform/unprivileged-user.ts';
import { type Child, Enclosure } from './child.ts';
import { eventually } from './eventually.ts';
import { rabbitmqPrograms } from './programs.ts';

type Programs = ReturnType<typeof rabbitmqPrograms>;
type Ports = Readonly<{ amqp: number; distribution: number; epmd: number }>;

/** A RabbitMQ node of our own, with its data, cookie and `epmd` apart from any other. It comes back on the same port. */
export class PrivateRabbitmq {
  readonly url: string;
  private server: Child | null = null;
  private epmd: Child | null = null;
  private readonly node = `jobledger-${randomBytes(6).toString('hex')}@localhost`;

  private constructor(
    private readonly enclosure: Enclosure,
    private readonly user: UnprivilegedUser | null,
    private readonly programs: Programs,
    private readonly ports: Ports,
  ) {
    this.url = `amqp://guest:guest@127.0.0.1:${String(ports.amqp)}`;
  }

  static async start(): Promise<PrivateRabbitmq> {
    const programs = rabbitmqPrograms();
    const user = unprivilegedUser(['rabbitmq', 'nobody']);
    const enclosure = new Enclosure(user, 'SIGKILL');
    const ports = {
      amqp: await freePort(),
      distribution: await freePort(),
      epmd: await freePort(),
    };
    const rabbitmq = new PrivateRabbitmq(enclosure, user, programs, ports);
    try {
      rabbitmq.writeConfiguration();
      await rabbitmq.start();
    } catch (error) {
      await rabbitmq.close();
      throw error;
    }
    return rabbitmq;
  }

  /** Resolves when it accepts clients. */
  async start(): Promise<void> {
    if (this.server !== null) return;
    this.epmd ??= this.enclosure.spawn(join(this.programs.erlang, 'epmd'), [
      '-port',
      String(this.ports.epmd),
      '-address',
      '127.0.0.1',
    ]);
    await eventually(() => this.accepts(this.ports.epmd));
    const server = this.enclosure.spawn(this.script('rabbitmq-server'), [], this.environment());
    let hasEnded = false;
    void server.ended.finally(() => {
      hasEnded = true;
    });
    await eventually(
      async () => {
        if (hasEnded) return;
        if (!server.output().includes('completed with'))
          throw new Error('RabbitMQ is still starting');
        await this.accepts(this.ports.amqp);
      },
      { timeoutMs: 60_000, everyMs: 50 },
    ).catch((error: unknown) => {
      server.signal('SIGKILL', 'group');
      throw new Error(`RabbitMQ did not start:\n${server.output()}`, { cause: error });
    });
    if (hasEnded) throw new Error(`RabbitMQ did not start:\n${server.output()}`);
    this.server = server;
  }

  /** Stops as an administrator would: clients are told, durable queues and messages are on disk. */
  async stop(): Promise<void> {
    await this.end('SIGTERM', 'program');
  }

  /** Ends it like a loss of power. */
  async kill(): Promise<void> {
    await this.end('SIGKILL', 'group');
  }

  /** Loses everything it has stored: exchanges, queues, messages and virtual hosts. */
  async wipe(): Promise<void> {
    await this.kill();
    rmSync(join(this.enclosure.folder, 'mnesia'), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.kill();
    this.epmd?.signal('SIGKILL');
    await this.epmd?.ended;
    await this.enclosure.close();
  }

  /** Makes a virtual host that `guest` may use, and returns its URL. */
  async addVhost(name: string): Promise<string> {
    await this.control(
      'eval',
      `ok = rabbit_vhost:add(<<"${name}">>, <<"test">>),
       ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"${name}">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>).`,
    );
    return `${this.url}/${encodeURIComponent(name)}`;
  }

  async deleteVhost(name: string): Promise<void> {
    await this.control('delete_vhost', name);
  }

  /** Runs `rabbitmqctl` against this node and returns what it printed. */
  async control(...args: readonly string[]): Promise<string> {
    return this.enclosure.run(this.script('rabbitmqctl'), ['--quiet', ...args], this.environment());
  }

  private script(name: string): string {
    return join(this.programs.rabbitmq, name);
  }

  private writeConfiguration(): void {
    const { folder } = this.enclosure;
    const files = {
      'rabbitmq.conf':
        'log.console.level = info\nlog.file = false\ndisk_free_limit.absolute = 50MB\n',
      enabled_plugins: '[].\n',
      'env.conf': '',
    };
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(folder, name), text);
      if (this.user !== null) chownSync(join(folder, name), this.user.uid, this.user.gid);
    }
    mkdirSync(join(folder, 'log'));
    if (this.user !== null) chownSync(join(folder, 'log'), this.user.uid, this.user.gid);
  }

  private environment(): Record<string, string> {
    const { folder } = this.enclosure;
    const { amqp, distribution, epmd } = this.ports;
    return {
      RABBITMQ_NODENAME: this.node,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(amqp),
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_GENERATED_CONFIG_DIR: join(folder, 'generated'),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
      RABBITMQ_CONF_ENV_FILE: join(folder, 'env.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
      // Idle schedulers that spin would take the processors from the tests.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none',
      ERL_CRASH_DUMP: join(folder, 'erl_crash.dump'),
      ERL_EPMD_PORT: String(epmd),
      ERL_EPMD_ADDRESS: '127.0.0.1',
    };
  }

  private async accepts(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
    });
  }

  private async end(signal: NodeJS.Signals, to: 'program' | 'group'): Promise<void> {
    const { server } = this;
    this.server = null;
    server?.signal(signal, to);
    await server?.ended;
  }
}
