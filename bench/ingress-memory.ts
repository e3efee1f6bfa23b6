import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Benchmark } from './benchmark.ts';
import { load } from './ingress/processes.ts';
import { residentMegabytes, startRole, stop } from './roles.ts';

const SECRET = 'a-secret-of-the-benchmark';
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 20);
const DELIVERIES = 10_000;

/** What the front door holds after 200,000 deliveries, against what it held after the first 20,000. */
export const ingressMemoryBenchmark: Benchmark = {
  name: 'ingress-memory',
  async run({ createDatabase, rabbitmqUrl, progress }) {
    const folder = await mkdtemp(join(tmpdir(), 'jobledger-bench-'));
    const ingress = await startRole('ingress', folder, {
      DATABASE_URL: await createDatabase(),
      RABBITMQ_URL: await rabbitmqUrl(),
      GITHUB_WEBHOOK_SECRET: SECRET,
      LOG_LEVEL: 'info',
    });
    const memory: number[] = [];
    try {
      for (let round = 1; round <= ROUNDS; round++) {
        await load({
          port: ingress.port,
          path: '/webhooks/github',
          secret: SECRET,
          kind: 'pull-request',
          connections: 32,
          requests: DELIVERIES,
          perSecond: null,
        });
        memory.push(residentMegabytes(ingress));
        progress(`ingress-memory: round ${String(round)}: ${(memory.at(-1) ?? 0).toFixed(0)} MB`);
      }
    } finally {
      await stop(ingress);
      await rm(folder, { recursive: true });
    }
    const early = memory[Math.min(1, memory.length - 1)] ?? Number.NaN;
    const late = memory.at(-1) ?? Number.NaN;
    return [
      { what: `memory after ${(2 * DELIVERIES).toLocaleString('en')}`, value: early, unit: 'MB' },
      {
        what: `memory after ${(ROUNDS * DELIVERIES).toLocaleString('en')}`,
        value: late,
        unit: 'MB',
      },
      { what: 'grown by', value: (late / early - 1) * 100, unit: '%' },
    ];
  },
};
