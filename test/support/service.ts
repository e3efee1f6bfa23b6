import { setMaxListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';

import { InProcessTransport } from '../../src/messaging/in-process-transport.ts';
import { type Config, readConfig } from '../../src/platform/config.ts';
import { Metrics } from '../../src/platform/metrics.ts';
import { runApi } from '../../src/processes/api.ts';
import { type Core, withCore } from '../../src/processes/core.ts';
import { runIngress } from '../../src/processes/ingress.ts';
import { runProjector } from '../../src/processes/projector.ts';
import { catalogOf } from '../../src/processes/run-role.ts';
import { runWorker } from '../../src/processes/worker.ts';
import type { Workflow } from '../../src/sdk/index.ts';
import type { WorkflowCatalog } from '../../src/workflows/index.ts';
import { createDatabase } from './database.ts';

export const SECRET = 'a-secret-of-the-tests';

export type Service = Readonly<{
  api: string;
  ingress: string;
  core: Core;
  dataDir: string;
  /** Answers of `POST /graphql`; throws when there are errors. */
  query: <T>(text: string, variables?: object) => Promise<T>;
  stop: () => Promise<void>;
}>;

/** The whole service in this process, on a database of its own and the in-process transport. */
export async function startService(
  options: Readonly<{
    env?: Record<string, string>;
    /** In place of the ones that ship. */
    workflows?: readonly Workflow[];
  }> = {},
): Promise<Service> {
  const database = await createDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'jobledger-test-'));
  const config: Config = readConfig({
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    INGRESS_PORT: '0',
    API_PORT: '0',
    GITHUB_WEBHOOK_SECRET: SECRET,
    LOG_LEVEL: 'silent',
    ...options.env,
  });
  const logger = pino({ level: config.logLevel });
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const ready = resolvers<Running>();
  const ended = withCore(
    {
      role: 'start',
      config,
      databaseUrl: database.url,
      logger,
      metrics: new Metrics(),
      stopping: stopping.signal,
      openTransport: () => Promise.resolve(new InProcessTransport({ logger })),
    },
    (core) => runRoles(core, { ...options, signal: stopping.signal, onReady: ready.resolve }),
  );
  ended.catch(ready.reject);
  const { core, ports } = await ready.promise;
  const api = `http://127.0.0.1:${String(ports.api)}`;
  return {
    api,
    ingress: `http://127.0.0.1:${String(ports.ingress)}`,
    core,
    dataDir,
    query: (text, variables) => query(`${api}/graphql`, text, variables),
    stop: async () => {
      stopping.abort();
      await ended;
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

type Running = Readonly<{ core: Core; ports: Readonly<{ api: number; ingress: number }> }>;

function resolvers<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((done, fail) => {
    resolve = done;
    reject = fail;
  });
  return { promise, resolve, reject };
}

async function runRoles(
  given: Core,
  {
    workflows,
    signal,
    onReady,
  }: Readonly<{
    workflows?: readonly Workflow[];
    signal: AbortSignal;
    onReady: (running: Running) => void;
  }>,
): Promise<void> {
  const core = given as Core & { transport: InProcessTransport };
  const catalog = workflows ? catalogFrom(workflows) : await catalogOf(core);
  const ports = { api: 0, ingress: 0 };
  const heard = (role: 'api' | 'ingress') => (port: number) => {
    ports[role] = port;
    if (ports.api !== 0 && ports.ingress !== 0) onReady({ core, ports });
  };
  const shared = { core, catalog, host: '127.0.0.1' };
  await Promise.all([
    runProjector(shared, signal),
    runWorker(shared, signal),
    runIngress({ ...shared, onListening: heard('ingress') }, signal),
    runApi({ ...shared, onListening: heard('api') }, signal),
  ]);
}

function catalogFrom(workflows: readonly Workflow[]): WorkflowCatalog {
  const byName = new Map(workflows.map((workflow) => [workflow.name, workflow]));
  const plan = ({ name, priority, retry, timeouts }: Workflow) => ({
    workflow: name,
    priority,
    retry,
    concurrency: null,
    ...(timeouts.jobMs === null ? {} : { timeoutMs: timeouts.jobMs }),
  });
  return {
    workflows: byName,
    plan: () => workflows.map(plan),
    planOf: (name) => {
      const workflow = byName.get(name);
      return workflow ? plan(workflow) : null;
    },
    schedules: [],
  };
}

async function query<T>(url: string, text: string, variables?: object): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: text, variables }),
  });
  const { data, errors } = (await response.json()) as { data: T; errors?: unknown };
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  return data;
}
