import { cpus, loadavg, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';

import { Client } from 'pg';

import { migrate } from '../src/platform/migrate.ts';
import {
  type PrivateRabbitmq,
  startPrivatePostgres,
  startPrivateRabbitmq,
} from '../test/support/private-servers.ts';
import { postgresPrograms } from '../test/support/programs.ts';
import { apiBenchmark } from './api.ts';
import { appendBenchmark } from './append.ts';
import type { Benchmark, Context, Measured } from './benchmark.ts';
import { dispatchBenchmark } from './dispatch.ts';
import { ingressMemoryBenchmark } from './ingress-memory.ts';
import { ingressBenchmark } from './ingress.ts';
import { engineBenchmark } from './engine.ts';
import { jobsBenchmark } from './jobs.ts';
import { liveBenchmark } from './live.ts';
import { latencyBenchmark } from './latency.ts';
import { benchMessaging } from './messaging.ts';
import { projectionsBenchmark } from './projections.ts';

/** A new row of the report begins here. */
const BENCHMARKS: readonly Benchmark[] = [
  appendBenchmark,
  jobsBenchmark,
  engineBenchmark,
  latencyBenchmark,
  dispatchBenchmark,
  ingressBenchmark,
  ingressMemoryBenchmark,
  projectionsBenchmark,
  apiBenchmark,
  liveBenchmark,
  {
    name: 'messaging',
    run: async ({ rabbitmqUrl }) => benchMessaging({ rabbitmqUrl: await rabbitmqUrl() }),
  },
];

/** `npm run bench` measures everything; `npm run bench -- append messaging` only these. Prints a report in Markdown. */
async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
  if (unknown.length > 0) {
    const known = BENCHMARKS.map(({ name }) => name).join(', ');
    throw new Error(`There is no benchmark ${unknown.join(', ')}; there are ${known}`);
  }
  const chosen = BENCHMARKS.filter(({ name }) => names.length === 0 || names.includes(name));
  console.log(`${new Date().toISOString().slice(0, 10)}, ${machine()}\n`);
  for (const benchmark of chosen) {
    console.log(markdown(benchmark.name, await measure(benchmark)));
  }
}

/** Each benchmark has servers of its own, as what one left behind would slow the next one. */
async function measure({ run }: Benchmark): Promise<readonly Measured[]> {
  const postgres = await startPrivatePostgres();
  let rabbitmq: PrivateRabbitmq | undefined;
  let databases = 0;
  const context: Context = {
    createDatabase: async () => {
      const url = await emptyDatabase(postgres.url, `bench_${String(++databases)}`);
      await migrate(url, { folder: join(process.cwd(), 'migrations') });
      return url;
    },
    rabbitmqUrl: async () => {
      rabbitmq ??= await startPrivateRabbitmq();
      return rabbitmq.url;
    },
    postgresPrograms: postgresPrograms(),
    progress: (line) => {
      console.error(line);
    },
  };
  try {
    return await run(context);
  } finally {
    await rabbitmq?.close();
    await postgres.close();
  }
}

async function emptyDatabase(serverUrl: string, name: string): Promise<string> {
  const client = new Client(serverUrl);
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${String(cpus().length)} × ${cpu?.model ?? 'CPU'}, ${String(memory)} GB, ${platform()} ${release()}, Node ${process.versions.node}, load average ${loadavg()[0]?.toFixed(1) ?? ''}`;
}

function markdown(name: string, rows: readonly Measured[]): string {
  const lines = rows.map(({ what, value, unit }) => `| ${what} | ${rounded(value)} ${unit} |`);
  return [`## ${name}`, '', '| what | measured |', '|---|---|', ...lines, ''].join('\n');
}

const rounded = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2);

await main(process.argv.slice(2));
