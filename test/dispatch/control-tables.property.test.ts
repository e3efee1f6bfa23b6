import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { resetDispatch } from '../../src/dispatch/control-follower.ts';
import type { LogRange, StreamRange } from '../../src/event-store/event-store.ts';
import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import type { Event, Recorded } from '../../src/events/event.ts';
import type { Concurrency, JobEvent } from '../../src/events/job.ts';
import type { SignalEvent } from '../../src/events/signal.ts';
import type { Queryable, Row } from '../../src/platform/database.ts';
import { derivedId } from '../../src/platform/ids.ts';
import type { Statement } from '../../src/platform/sql.ts';
import { DecideJob } from '../../src/write/door.ts';
import type { JobCommand } from '../../src/write/job/commands.ts';
import { Rejected } from '../../src/write/rejected.ts';
import { inMemoryDoor } from '../support/in-memory-door.ts';
import {
  AT,
  cancel,
  complete,
  completeStep,
  fail,
  interrupt,
  pause,
  requestJob,
  resume,
  retry,
  signalled,
  start,
  supersede,
} from '../support/jobs.ts';
import { type ModelRow, modelOf } from './model.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
let store: DatedStore;
beforeAll(async () => {
  ledger = await Ledger.open();
});
afterAll(async () => {
  await ledger.close();
});

const JOBS = ['a', 'b', 'c', 'd'];

/** Something that happens to the log, or to the dispatcher that reads it. */
type Step =
  | Readonly<{ kind: 'command'; jobId: string; command: JobCommand }>
  | Readonly<{ kind: 'signal'; id: string }>
  | Readonly<{ kind: 'fold'; pageSize: number; crash: 'before' | 'after' | 'never' }>
  | Readonly<{ kind: 'reset' }>;

const runId = fc.constantFrom('r1', 'r2', 'r3');
const key = fc.constantFrom('x', 'y');
const concurrency: fc.Arbitrary<Concurrency | null> = fc.oneof(
  fc.constant(null),
  fc.record({ key, strategy: fc.constantFrom('queue', 'supersede') }),
  fc.record({ key, strategy: fc.constant('limit'), limit: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    key,
    strategy: fc.constant('debounce'),
    quietMs: fc.constantFrom(2_000, 9_000),
    maxWaitMs: fc.constantFrom(9_000, 20_000),
  }),
);
const request = fc
  .record({
    concurrency,
    priority: fc.integer({ min: 0, max: 9 }),
    rateLimit: fc.constantFrom(null, { key: 'r', limit: 1, perMs: 86_400_000 }),
  })
  .chain((change) =>
    fc.constantFrom(requestJob(change), requestJob({ ...change, timeoutMs: 60_000 })),
  );
const on = fc.array(fc.record({ event: fc.constantFrom('e', 'f'), key: fc.constant(null) }), {
  maxLength: 2,
});
const command: fc.Arbitrary<JobCommand> = fc.oneof(
  request,
  { weight: 3, arbitrary: runId.map((id) => start(id, 3_600_000)) },
  fc.tuple(runId, fc.string()).map(([id, name]) => completeStep(name, null, id)),
  { weight: 2, arbitrary: fc.tuple(runId, on).map(([id, each]) => pause({ on: each }, id)) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('s1', 's2', 's3')
      .map((id) => resume(signalled(id), null, 3_600_000)),
  },
  runId.map((id) => fail(id)),
  runId.map((id) => interrupt('released', id)),
  runId.map((id) => interrupt('lease-expired', id)),
  runId.map((id) => complete(id)),
  fc.constant(cancel),
  fc.constant(supersede),
  { weight: 2, arbitrary: fc.constant(retry()) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      jobId: fc.constantFrom(...JOBS),
      command,
    }),
  },
  fc.record({ kind: fc.constant('signal' as const), id: fc.constantFrom('s1', 's2', 's3') }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('fold' as const),
      pageSize: fc.integer({ min: 1, max: 20 }),
      crash: fc.constantFrom('before', 'after', 'never'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reset' } as const) },
);

test('whatever happens, in whatever pages and crashes: the tables are what the whole log says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async (steps) => {
      await ledger.wipe();
      store = new DatedStore();
      for (const each of steps) await take(each);
      await ledger.fold({ pageSize: 3, store });
      const log = await store.readAll<JobEvent | SignalEvent>({ after: 0n, limit: 10_000 });
      const model = modelOf(log);
      expect(await jobRows()).toEqual(model.jobs);
      expect(await column('select signal_id as value from dispatch.signals order by 1')).toEqual(
        model.signals,
      );
      expect(await starts()).toEqual(model.starts);
      const stray = `
        select job_id as value from dispatch.waits where job_id not in (select job_id from dispatch.jobs)
        union all
        select job_id from dispatch.used_signals where job_id not in (select job_id from dispatch.jobs)
        union all
        select job_id from dispatch.bursts where job_id not in (select job_id from dispatch.jobs where replaceable)`;
      expect(await column(stray)).toEqual([]);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 40) },
  );
}, 240_000);

async function take(each: Step): Promise<void> {
  if (each.kind === 'reset') return resetDispatch(ledger.database);
  if (each.kind === 'signal') {
    const data = { event: 'e', key: null, payload: null };
    const signal = { id: derivedId(each.id), type: 'SignalReceived', at: AT, data };
    await store.append({ streamId: each.id, expected: 0, events: [signal] });
    return;
  }
  if (each.kind === 'fold') {
    await ledger
      .fold({ pageSize: each.pageSize, database: crashing(each.crash), store })
      .catch((error: unknown) => {
        if (!(error instanceof Crash)) throw error;
      });
    return;
  }
  try {
    await inMemoryDoor(store).execute(new DecideJob(each.jobId, each.command));
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
  }
}

/** One event a second, so that it matters which came when. */
class DatedStore extends InMemoryEventStore {
  private readonly beginning = Math.floor(Date.now() / 1_000) * 1_000;

  private dated<E extends Event>(events: readonly Recorded<E>[]): readonly Recorded<E>[] {
    return events.map((event) => ({
      ...event,
      recordedAt: new Date(this.beginning + Number(event.position) * 1_000),
    }));
  }

  override async readStream<E extends Event>(streamId: string, range?: StreamRange) {
    return this.dated(await super.readStream<E>(streamId, range));
  }

  override async readAll<E extends Event>(range: LogRange) {
    return this.dated(await super.readAll<E>(range));
  }
}

class Crash extends Error {}

/** Ends with its third page, before or after its commit. */
function crashing(when: 'before' | 'after' | 'never'): Queryable {
  let pages = 0;
  return {
    async query<R extends Row>(statement: Statement): Promise<readonly R[]> {
      if (!statement.text.includes('dispatch.write_page'))
        return ledger.database.query<R>(statement);
      pages++;
      if (pages === 3 && when === 'before') throw new Crash();
      const rows = await ledger.database.query<R>(statement);
      if (pages === 3 && when === 'after') throw new Crash();
      return rows;
    },
  };
}

async function jobRows(): Promise<readonly ModelRow[]> {
  const rows = await ledger.rows<
    Omit<ModelRow, DateColumn> & Readonly<Record<DateColumn, Date | null>>
  >(`
    select job_id, phase, priority, version, position::int, requested_position::int,
           line_position::int, concurrency_key as key, run_id, worker_id, wait->>'id' as wait_id,
           next_attempt_at, hold_until, deadline, rate, takeable, blocked, superseded_by,
           (select count(*)::int from dispatch.waits where job_id = job.job_id) as waits,
           array(select signal_id from dispatch.used_signals where job_id = job.job_id order by 1) as used
    from dispatch.jobs as job order by job_id`);
  return rows.map((row) =>
    Object.assign(row, {
      next_attempt_at: row.next_attempt_at?.toISOString() ?? null,
      hold_until: row.hold_until?.toISOString() ?? null,
      deadline: row.deadline?.toISOString() ?? null,
    }),
  );
}

type DateColumn = 'next_attempt_at' | 'hold_until' | 'deadline';

async function starts(): Promise<readonly object[]> {
  const rows = await ledger.rows<{ job_id: string; at: Date }>(
    'select job_id, at from dispatch.rate_starts order by job_id, at',
  );
  return rows.map(({ job_id, at }) => ({ job_id, at: at.toISOString() }));
}

const column = async (text: string): Promise<readonly unknown[]> =>
  (await ledger.rows(text)).map((row) => row['value']);
