import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../../src/platform/free-port.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { Deployment } from '../support/deployment.ts';
import {
  type PrivatePostgres,
  type PrivateRabbitmq,
  startPrivatePostgres,
  startPrivateRabbitmq,
} from '../support/private-servers.ts';
import type { Role } from '../support/program.ts';
import { type TcpProxy, startProxy } from '../support/tcp-proxy.ts';
import type { Execution } from './history.ts';
import { type Fault, SLOTS, type Server, type Slot } from './plan.ts';

const RESTART_AFTER_MS = 300;

/** One process in the place of a role. */
export type Instance = Readonly<{ slot: Slot; role: Role }> & {
  killedAt: number | null;
  frozen: { from: number; to: number }[];
};

/** The roles on servers of their own, each behind its own network, and somebody who starts them again. */
export class Cluster {
  readonly instances: Instance[] = [];
  /** Processes that ended though nobody had killed them. */
  readonly endedByThemselves: string[] = [];
  /**
   * What a disk may be lost for: while Postgres is away, RabbitMQ's has deliveries that are nowhere else, and nobody
   * promises to bear the loss of both at once.
   */
  beforeWipe: (wipe: () => Promise<void>) => Promise<void> = (wipe) => wipe();
  private readonly keeping: Promise<void>[] = [];
  /** Faults of one process or server wait for each other. */
  private readonly turns = new Map<Slot | Server, Promise<void>>();
  private closing = false;

  private constructor(
    private readonly servers: Readonly<{ postgres: PrivatePostgres; rabbitmq: PrivateRabbitmq }>,
    private readonly proxies: ReadonlyMap<string, TcpProxy>,
    private readonly deployment: Deployment,
    private readonly ports: Readonly<{ ingress: number; api: number }>,
  ) {}

  static async open(env: Readonly<Record<string, string>>): Promise<Cluster> {
    const [postgres, rabbitmq] = await Promise.all([
      startPrivatePostgres(),
      startPrivateRabbitmq(),
    ]);
    await migrate(postgres.url);
    const proxies = new Map<string, TcpProxy>();
    for (const slot of SLOTS) {
      for (const [server, { url }] of Object.entries({ postgres, rabbitmq })) {
        proxies.set(`${slot} ${server}`, await startProxy(Number(new URL(url).port)));
      }
    }
    const deployment = await Deployment.open(
      { databaseUrl: postgres.url, rabbitmqUrl: rabbitmq.url },
      { WORKFLOWS: fileURLToPath(new URL('workflows.mjs', import.meta.url)), ...env },
    );
    const ports = { ingress: await freePort(), api: await freePort() };
    await appendFile(join(deployment.folder, EXECUTIONS), '');
    return new Cluster({ postgres, rabbitmq }, proxies, deployment, ports);
  }

  /** Starts every role; resolves when each takes work. */
  async start(): Promise<void> {
    for (const slot of SLOTS) this.keeping.push(this.keep(slot));
    await Promise.all(this.instances.map(({ slot, role }) => role.logged(READY[nameOf(slot)])));
  }

  /** What processes said of themselves as they gave up, also those that then did not end. */
  get givenUp(): readonly string[] {
    return this.instances.flatMap(({ slot, role }) =>
      role.log.flatMap(({ msg }) =>
        msg.startsWith('jobledger: ') ? [`${slot} gave up: ${msg}`] : [],
      ),
    );
  }

  get databaseUrl(): string {
    return this.servers.postgres.url;
  }

  get ingress(): string {
    return `http://127.0.0.1:${String(this.ports.ingress)}`;
  }

  get api(): string {
    return `http://127.0.0.1:${String(this.ports.api)}`;
  }

  /** Resolves when the fault is over: what was down is up again, or being started. */
  inflict(fault: Fault): Promise<void> {
    const target = fault.kind === 'kill' || !('server' in fault) ? fault.slot : whereOf(fault);
    const done = (this.turns.get(target) ?? Promise.resolve()).then(() => this.carryOut(fault));
    this.turns.set(target, done);
    return done;
  }

  /** Every execution of a step that began. */
  async executions(): Promise<readonly Execution[]> {
    const text = await readFile(join(this.deployment.folder, EXECUTIONS), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Execution);
  }

  /** Ends every role as an orchestrator would; gives the exit codes. */
  async stop(): Promise<Readonly<Partial<Record<Slot, number | null>>>> {
    this.closing = true;
    const last = SLOTS.map((slot) => [slot, this.current(slot)] as const);
    const codes = await Promise.all(
      last.map(async ([slot, instance]) => [slot, (await instance?.role.stop()) ?? null] as const),
    );
    return Object.fromEntries(codes);
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.deployment.close();
    await Promise.all(this.keeping);
    await Promise.all([...this.proxies.values()].map((proxy) => proxy.close()));
    await Promise.all([this.servers.postgres.close(), this.servers.rabbitmq.close()]);
  }

  private async keep(slot: Slot): Promise<void> {
    while (!this.closing) {
      const role = this.deployment.start(nameOf(slot), {
        DATABASE_URL: this.proxy(slot, 'postgres').urlOf(this.servers.postgres.url),
        RABBITMQ_URL: this.proxy(slot, 'rabbitmq').urlOf(this.servers.rabbitmq.url),
        INGRESS_PORT: String(this.ports.ingress),
        API_PORT: String(this.ports.api),
        CHAOS_EXECUTIONS: join(this.deployment.folder, EXECUTIONS),
      });
      const instance: Instance = { slot, role, killedAt: null, frozen: [] };
      this.instances.push(instance);
      const code = await role.exited;
      if (!this.closing && instance.killedAt === null) {
        const last = role.log.slice(-5).map(({ msg }) => msg);
        this.endedByThemselves.push(`${slot} ended with ${String(code)}: ${last.join(' | ')}`);
      }
      await sleep(RESTART_AFTER_MS);
    }
  }

  private async carryOut(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case 'kill':
        return this.kill(fault.slot);
      case 'freeze':
        return this.freeze(fault.slot, fault.forMs);
      case 'cut':
        this.proxy(fault.slot, fault.server).cut();
        return;
      case 'partition':
        return this.partition(this.proxy(fault.slot, fault.server), fault.forMs);
      case 'kill-server':
        return this.restart(fault.server, fault.downMs, () => this.servers[fault.server].kill());
      case 'wipe':
        return this.restart(fault.server, fault.downMs, () =>
          this.beforeWipe(() => this.servers[fault.server].wipe()),
        );
    }
  }

  private async kill(slot: Slot): Promise<void> {
    const instance = this.current(slot);
    if (instance === undefined) return;
    instance.killedAt ??= Date.now();
    instance.role.kill('SIGKILL');
    await instance.role.exited;
  }

  private async freeze(slot: Slot, forMs: number): Promise<void> {
    const instance = this.current(slot);
    if (instance === undefined) return;
    const time = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    instance.frozen.push(time);
    instance.role.kill('SIGSTOP');
    await sleep(forMs);
    time.to = Date.now();
    instance.role.kill('SIGCONT');
  }

  private async partition(proxy: TcpProxy, forMs: number): Promise<void> {
    proxy.pause();
    await sleep(forMs);
    proxy.resume();
  }

  private async restart(server: Server, downMs: number, end: () => Promise<void>): Promise<void> {
    await end();
    await sleep(downMs);
    await this.servers[server].start();
  }

  private current(slot: Slot): Instance | undefined {
    return this.instances.findLast((instance) => instance.slot === slot);
  }

  private proxy(slot: Slot, server: Server): TcpProxy {
    const proxy = this.proxies.get(`${slot} ${server}`);
    if (proxy === undefined) throw new Error(`${slot} has no network to ${server}`);
    return proxy;
  }
}

const EXECUTIONS = 'executions';

type RoleName = 'ingress' | 'api' | 'worker' | 'projector';

const READY: Readonly<Record<RoleName, string>> = {
  ingress: 'takes webhooks',
  api: 'serves the API and the dashboard',
  worker: 'the worker is registered',
  projector: 'keeps the read models and dispatches jobs',
};

const nameOf = (slot: Slot): RoleName => slot.replace(/-\d$/, '') as RoleName;

/** What a fault with a server is about: the server itself, or one process' way to it. */
const whereOf = (fault: Extract<Fault, { server: Server }>): Slot | Server =>
  'slot' in fault ? fault.slot : fault.server;
