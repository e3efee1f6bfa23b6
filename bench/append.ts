import { type EncodedAppend } from '../src/event-store/append-command.ts';
import type { AppendResult } from '../src/event-store/event-store.ts';
import type { Lane } from '../src/event-store/lane.ts';
import { PostgresEventStore, appendLane } from '../src/event-store/postgres-event-store.ts';
import { Database } from '../src/platform/database.ts';
import { newId } from '../src/platform/ids.ts';
import { createLogger } from '../src/platform/logger.ts';
import { sql } from '../src/platform/sql.ts';
import { type Benchmark, type Measured, median, quantile } from './benchmark.ts';
import { pgbench } from './pgbench.ts';

const ROUNDS = 5;
const SECONDS = 3;
const CALLERS = 32;

/** What a webhook's first event looks like: 1 KB of JSON. */
const DATA = {
  workflow: 'code-review',
  priority: 5,
  trigger: { provider: 'github', repository: { fullName: 'octo/repository' } },
  title: 'Make "the thing" faster\n'.repeat(36),
};
const METADATA = { correlationId: '0190b3a4-7c1e-7d2f-8a3b-4c5d6e7f8091' };

/** The same row by single inserts: same columns, same indexes, one commit per row. */
const PEER_TABLE = `
  create table public.single_inserts (like log.events including all);
  alter table public.single_inserts alter column position add generated always as identity;`;
const PEER_INSERT = `
insert into single_inserts (recorded_at, occurred_at, event_id, version, schema_version, stream_id, type, data, metadata)
values (clock_timestamp(), now(), gen_random_uuid(), 1, 1, gen_random_uuid()::text, 'JobRequested', '${JSON.stringify(DATA)}', '${JSON.stringify(METADATA)}');`;

type Load = Readonly<{ perSecond: number; p50: number; p99: number; nodeMicros: number }>;

/** Appends through the lane against pgbench's single-row inserts of the same row, in turns on the same server. */
export const appendBenchmark: Benchmark = {
  name: 'append',
  async run({ createDatabase, postgresPrograms, progress }) {
    const databaseUrl = await createDatabase();
    const logger = createLogger('warn', 'bench');
    const database = new Database(databaseUrl, { max: 2, applicationName: 'bench', logger });
    for (const text of PEER_TABLE.split(';')) await database.query({ text, values: [] });
    const results: Record<number, Load[]> = {};
    const peer: number[] = [];
    const measure = async (callers: number): Promise<void> => {
      await database.query(sql`checkpoint`);
      const lane = appendLane({ databaseUrl, logger, deadlineMs: 30_000 });
      const load = await append(new PostgresEventStore({ database, lane }), lane, callers);
      (results[callers] ??= []).push(load);
      progress(`append: ${String(callers)} caller(s): ${load.perSecond.toFixed(0)}/s`);
    };
    try {
      for (let round = 1; round <= ROUNDS; round++) {
        await database.query(sql`checkpoint`);
        peer.push(
          await pgbench({
            programs: postgresPrograms,
            url: databaseUrl,
            script: PEER_INSERT,
            clients: CALLERS,
            seconds: SECONDS,
          }),
        );
        progress(`append: pgbench: ${(peer.at(-1) ?? 0).toFixed(0)}/s`);
        await measure(CALLERS);
        await measure(256);
        await measure(1);
      }
    } finally {
      await database.close();
    }
    return report(peer, results);
  },
};

/** Each caller appends one event to a new stream, again and again. */
async function append(
  store: PostgresEventStore,
  lane: Lane<EncodedAppend, AppendResult>,
  callers: number,
): Promise<Load> {
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const began = performance.now();
  const until = began + SECONDS * 1_000;
  const call = async (): Promise<void> => {
    while (performance.now() < until) {
      const sent = performance.now();
      const event = { id: newId(), type: 'JobRequested', at: new Date(), data: DATA };
      const { status } = await store.append({
        streamId: crypto.randomUUID(),
        expected: 0,
        events: [{ ...event, metadata: METADATA }],
      });
      if (status !== 'appended') throw new Error(`An append was answered ${status}`);
      latencies.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  await lane.close();
  return {
    perSecond: latencies.length / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    nodeMicros: (user + system) / latencies.length,
  };
}

function report(
  peer: readonly number[],
  results: Readonly<Record<number, readonly Load[]>>,
): readonly Measured[] {
  const of = (callers: number, pick: (load: Load) => number): number =>
    median((results[callers] ?? []).map(pick));
  const ratio = (callers: number): number =>
    median((results[callers] ?? []).map(({ perSecond }, round) => perSecond / (peer[round] ?? 0)));
  const rows = (callers: number, name: string): readonly Measured[] => [
    { what: name, value: of(callers, ({ perSecond }) => perSecond), unit: 'events/s' },
    { what: `${name}: p50`, value: of(callers, ({ p50 }) => p50), unit: 'ms' },
    { what: `${name}: p99`, value: of(callers, ({ p99 }) => p99), unit: 'ms' },
  ];
  return [
    { what: 'pgbench, one row per commit, 32 clients', value: median(peer), unit: 'rows/s' },
    ...rows(CALLERS, 'the lane, 32 callers'),
    { what: 'the lane against pgbench, 32 callers', value: ratio(CALLERS), unit: 'times' },
    {
      what: 'the lane, 32 callers: CPU of Node, callers included',
      value: of(CALLERS, ({ nodeMicros }) => nodeMicros),
      unit: 'µs/event',
    },
    ...rows(256, 'the lane, 256 callers'),
    ...rows(1, 'the lane, 1 caller'),
  ];
}
