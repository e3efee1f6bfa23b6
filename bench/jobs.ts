import { createHmac, randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';

import { Database } from '../src/platform/database.ts';
import { createLogger } from '../src/platform/logger.ts';
import { sql } from '../src/platform/sql.ts';
import { Deployment, SECRET } from '../test/support/deployment.ts';
import { push } from '../test/support/webhooks.ts';
import { type Benchmark, type Measured, median } from './benchmark.ts';
import { pgbench } from './pgbench.ts';

const ROUNDS = 3;
const JOBS = 3_000;
const CALLERS = 32;
const WORKFLOW = `export const noop = defineWorkflow({ name: 'noop', on: [{ event: 'push' }], run: async () => null });`;
const PEER_TABLE = `create table public.one_row (id uuid primary key, body text not null)`;
const PEER_INSERT = `insert into one_row values (gen_random_uuid(), repeat('x', 1000));`;

/** Signed deliveries through the ingress to completed jobs, the four roles as processes of their own. */
export const jobsBenchmark: Benchmark = {
  name: 'jobs',
  async run({ createDatabase, rabbitmqUrl, postgresPrograms, progress }) {
    const databaseUrl = await createDatabase();
    const logger = createLogger('warn', 'bench');
    const database = new Database(databaseUrl, { max: 2, applicationName: 'bench', logger });
    await database.query({ text: PEER_TABLE, values: [] });
    const deployment = await Deployment.open(
      { databaseUrl, rabbitmqUrl: await rabbitmqUrl() },
      { LOG_LEVEL: 'info', WORKER_CONCURRENCY: '64' },
    );
    const rates: number[] = [];
    const peer: number[] = [];
    try {
      const env = { WORKFLOWS: await deployment.writeWorkflows('noop.mjs', WORKFLOW) };
      const [ingress] = await Promise.all([
        deployment.startIngress(env),
        deployment.startProjector(env),
        deployment.startWorker(env),
      ]);
      for (let round = 1; round <= ROUNDS; round++) {
        peer.push(
          await pgbench({
            programs: postgresPrograms,
            url: databaseUrl,
            script: PEER_INSERT,
            clients: CALLERS,
            seconds: 3,
          }),
        );
        rates.push(await deliverAndComplete(ingress, database, round * JOBS));
        progress(
          `jobs: ${(rates.at(-1) ?? 0).toFixed(0)}/s, pgbench ${(peer.at(-1) ?? 0).toFixed(0)}/s`,
        );
      }
    } finally {
      await deployment.close();
      await database.close();
    }
    return report(rates, peer);
  },
};

/** Sends the deliveries of one round; gives how many jobs a second went from delivered to completed. */
async function deliverAndComplete(
  ingress: string,
  database: Database,
  completedInAll: number,
): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
  // The servers and this process share one machine's clock.
  const began = Date.now();
  let left = JOBS;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await send(ingress, agent);
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  // Asking seldom, as each question reads the whole log; the log itself says when the last one completed.
  let state = await completed(database);
  while (state.count < completedInAll) {
    await setTimeout(250);
    state = await completed(database);
  }
  agent.destroy();
  return (JOBS * 1_000) / (state.lastAt.getTime() - began);
}

function send(ingress: string, agent: Agent): Promise<void> {
  const body = JSON.stringify(push('octo/bench', { note: randomUUID() }));
  const signature = createHmac('sha256', SECRET).update(body).digest('hex');
  return new Promise((resolve, reject) => {
    const sent = request(
      `${ingress}/webhooks/github`,
      {
        method: 'POST',
        agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'x-github-event': 'push',
          'x-github-delivery': randomUUID(),
          'x-hub-signature-256': `sha256=${signature}`,
        },
      },
      (response) => {
        response.resume().once('end', () => {
          if (response.statusCode === 202) resolve();
          else reject(new Error(`The ingress answered ${String(response.statusCode)}`));
        });
      },
    );
    sent.once('error', reject);
    sent.end(body);
  });
}

async function completed(database: Database): Promise<{ count: number; lastAt: Date }> {
  const [row] = await database.query<{ count: number; lastAt: Date }>(sql`
    select count(*)::int as count, coalesce(max(recorded_at), now()) as "lastAt"
    from log.events where type = 'JobCompleted'`);
  return row ?? { count: 0, lastAt: new Date() };
}

const report = (rates: readonly number[], peer: readonly number[]): readonly Measured[] => [
  {
    what: `delivered to completed, ${String(CALLERS)} callers`,
    value: median(rates),
    unit: 'jobs/s',
  },
  { what: 'pgbench, one 1 KB row per commit, 32 clients', value: median(peer), unit: 'rows/s' },
  {
    what: 'jobs against pgbench rows',
    value: median(rates.map((rate, index) => rate / (peer[index] ?? Number.NaN))),
    unit: '',
  },
];
