import { setTimeout as sleep } from 'node:timers/promises';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { query } from './api-client.ts';
import { Role, SDK } from './program.ts';

export const SECRET = 'a-secret-of-the-deployment';

type Env = Readonly<Record<string, string>>;

/** The roles as processes of their own, on servers that the test gives. Everything ends with `close`. */
export class Deployment {
  private readonly roles = new Set<Role>();

  private constructor(
    readonly folder: string,
    private readonly env: Env,
  ) {}

  static async open(
    servers: Readonly<{ databaseUrl: string; rabbitmqUrl: string }>,
    env: Env = {},
  ): Promise<Deployment> {
    const folder = await mkdtemp(join(tmpdir(), 'jobledger-deployment-'));
    await chmod(folder, 0o755);
    return new Deployment(folder, {
      DATABASE_URL: servers.databaseUrl,
      RABBITMQ_URL: servers.rabbitmqUrl,
      GITHUB_WEBHOOK_SECRET: SECRET,
      DATA_DIR: join(folder, 'data'),
      INGRESS_PORT: '0',
      API_PORT: '0',
      ...env,
    });
  }

  /** Environment of commands that work on the same deployment. */
  get environment(): Env {
    return this.env;
  }

  /** Writes the module that `WORKFLOWS` names. */
  async writeWorkflows(name: string, source: string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, `import { defineWorkflow } from ${JSON.stringify(SDK)};\n${source}`);
    return path;
  }

  start(name: 'ingress' | 'api' | 'worker' | 'projector', env: Env = {}): Role {
    const role = new Role(name, { env: { ...this.env, ...env }, cwd: this.folder });
    this.roles.add(role);
    return role;
  }

  async startIngress(env: Env = {}): Promise<string> {
    const { port } = await this.start('ingress', env).logged('takes webhooks');
    return `http://127.0.0.1:${String(port)}`;
  }

  async startApi(env: Env = {}): Promise<string> {
    const { port } = await this.start('api', env).logged('serves the API and the dashboard');
    return `http://127.0.0.1:${String(port)}`;
  }

  async startWorker(env: Env = {}): Promise<Role> {
    const worker = this.start('worker', env);
    await worker.logged('the worker is registered');
    return worker;
  }

  async startProjector(env: Env = {}): Promise<Role> {
    const projector = this.start('projector', env);
    await projector.logged('keeps the read models and dispatches jobs');
    return projector;
  }

  async close(): Promise<void> {
    for (const role of this.roles) role.kill('SIGKILL');
    await Promise.all([...this.roles].map(({ exited }) => exited));
    await rm(this.folder, { recursive: true, force: true });
  }
}

export type ShownJob = Readonly<{
  status: string;
  workerId: string | null;
  result: unknown;
  attempt: number;
  error: { message: string; classification: string } | null;
  history: { nodes: { type: string; data: Record<string, unknown> }[] };
}>;

/** Asks for a job until it looks as wanted. */
export async function jobOnce(
  api: string,
  id: string,
  wanted: (job: ShownJob) => boolean,
): Promise<ShownJob> {
  for (;;) {
    const { job } = await query<{ job: ShownJob | null }>(
      api,
      `query ($id: ID!) { job(id: $id) { status workerId result attempt error { message classification }
        history(first: 100) { nodes { type data } } } }`,
      { id },
    );
    if (job !== null && wanted(job)) return job;
    await sleep(50);
  }
}
