import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

import { afterEach, expect, test } from 'vitest';

import { violations } from './checks.ts';
import { Cluster } from './cluster.ts';
import { figuresOf } from './figures.ts';
import {
  type History,
  readDeliveries,
  readEvents,
  readShown,
  untilProjected,
  untilSettled,
  untilStored,
} from './history.ts';
import { Load } from './load.ts';
import { type PlannedFault, describeFault, planDeliveries, planFaults } from './plan.ts';

// `npm run test:chaos` runs longer and each time differently; CHAOS_SECONDS and CHAOS_SEED say otherwise.
const isLong = process.env['MODE'] === 'chaos';
const seconds = Number(process.env['CHAOS_SECONDS'] ?? (isLong ? 120 : 30));
const seed = Number(
  process.env['CHAOS_SEED'] ?? (isLong ? Math.floor(Math.random() * 2 ** 31) : 20_261_120),
);

const LEASE_MS = 2_000;
const DELIVERIES_PER_SECOND = 3;
const START_MS = 120_000;
/** From the last fault until every job has ended; a slow machine takes its time. */
const SETTLE_MS = 240_000;

/** What the last run left, to look into: its log, and what each process said. */
const REMAINS = fileURLToPath(
  new URL('../../node_modules/.cache/jobledger-chaos', import.meta.url),
);

let cluster: Cluster | null = null;
let load: Load | null = null;
afterEach(async () => {
  if (cluster !== null && load !== null) await keepRemains(cluster, load).catch(console.error);
  await cluster?.close();
}, 60_000);

test(
  'processes are killed, servers too, networks break: nothing is lost, nothing happens twice',
  async () => {
    const faults = planFaults({ seed, seconds, leaseMs: LEASE_MS });
    tell(`CHAOS_SEED=${String(seed)} CHAOS_SECONDS=${String(seconds)}; what is left: ${REMAINS}`);
    cluster = await Cluster.open({
      LEASE_MS: String(LEASE_MS),
      REDISPATCH_AFTER_MS: '1000',
      WORKER_CONCURRENCY: '4',
    });
    await cluster.start();

    const begun = performance.now();
    const hosts = new Load(cluster);
    load = hosts;
    const { databaseUrl } = cluster;
    cluster.beforeWipe = (wipe) =>
      hosts.still(async () => {
        await untilStored(databaseUrl, hosts.accepted, SETTLE_MS);
        await wipe();
      });
    const over = new AbortController();
    const loading = hosts.run(
      planDeliveries({ seed, seconds, perSecond: DELIVERIES_PER_SECOND }),
      over.signal,
    );
    await inflictAll(cluster, faults, begun);
    const lastFaultAt = performance.now();
    tell('the last fault is over: waiting until everything is done');
    const late = setTimeout(() => {
      over.abort();
    }, SETTLE_MS);
    await loading;
    clearTimeout(late);
    await untilSettled(cluster.databaseUrl, SETTLE_MS);
    await untilProjected(cluster.databaseUrl, SETTLE_MS);
    const settledAt = performance.now();

    const exits = await cluster.stop();
    const history = await historyOf(cluster, hosts);
    const figures = figuresOf({
      history,
      instances: cluster.instances,
      faults,
      seconds: (settledAt - begun) / 1_000,
      settledAfterMs: settledAt - lastFaultAt,
    });
    tell(inspect(figures, { depth: 4, breakLength: 100 }));
    expect([
      ...violations(history),
      ...hosts.strange,
      ...cluster.endedByThemselves,
      ...cluster.givenUp,
    ]).toEqual([]);
    expect(
      Object.keys(figures.loggedErrors).filter((error) => /bug|fault of ours/.test(error)),
    ).toEqual([]);
    expect(Object.values(exits)).toEqual(Object.values(exits).map(() => 0));
  },
  START_MS + 2 * seconds * 1_000 + 3 * SETTLE_MS,
);

/** Each at its time, whether or not those before it are over. */
async function inflictAll(
  to: Cluster,
  faults: readonly PlannedFault[],
  begun: number,
): Promise<void> {
  await Promise.all(
    faults.map(async ({ atMs, fault }) => {
      await sleep(Math.max(begun + atMs - performance.now(), 0));
      const time = `${(atMs / 1_000).toFixed(1)} s`.padStart(8);
      tell(`${time}  ${describeFault(fault)}`);
      await to.inflict(fault);
      if (fault.kind !== 'kill-server' && fault.kind !== 'wipe') return;
      const tookMs = performance.now() - begun - atMs;
      tell(`          ${fault.server} is back after ${(tookMs / 1_000).toFixed(1)} s`);
    }),
  );
}

async function historyOf(of: Cluster, { sent }: Load): Promise<History> {
  return {
    events: await readEvents(of.databaseUrl),
    deliveries: await readDeliveries(of.databaseUrl),
    shown: await readShown(of.databaseUrl),
    executions: await of.executions(),
    sent,
    frozen: of.instances.flatMap(({ role, frozen }) =>
      frozen.map((time) => ({ pid: role.pid, ...time })),
    ),
  };
}

async function keepRemains(of: Cluster, sentBy: Load): Promise<void> {
  await mkdir(REMAINS, { recursive: true });
  const write = (name: string, lines: readonly unknown[]): Promise<void> =>
    writeFile(
      join(REMAINS, name),
      lines
        .map((line) =>
          JSON.stringify(line, (_, value: unknown) =>
            typeof value === 'bigint' ? String(value) : value,
          ),
        )
        .join('\n'),
    );
  for (const [index, { slot, role }] of of.instances.entries()) {
    await write(`${String(index)}-${slot}.ndjson`, role.log);
  }
  const { events, executions, sent } = await historyOf(of, sentBy);
  await write('events.ndjson', events);
  await write('executions.ndjson', executions);
  await write('sent.ndjson', sent);
}

function tell(line: string): void {
  console.info(line);
}
