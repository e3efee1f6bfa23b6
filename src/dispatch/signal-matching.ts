import { readCheckpoint } from '../event-store/checkpoint.ts';
import type { EventStore } from '../event-store/event-store.ts';
import type { Wait } from '../events/job.ts';
import type { SignalEvent } from '../events/signal.ts';
import type { Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import { type Statement, sql } from '../platform/sql.ts';
import { type Order, type OrderParts, carryOut } from './carry-out.ts';
import { forEachPage } from './job-pages.ts';
import { DISPATCH } from './names.ts';
import { IDLE_MS, type Reaction } from './reaction.ts';

type Match = Readonly<{ job_id: string; version: number; wait: Wait; signal_id: string }>;

/**
 * Resumes paused jobs with the oldest signal that ends their wait: one that came since the job was requested, before
 * or after the pause, and ended no other wait of that job.
 */
export class SignalMatching implements Reaction {
  readonly name = 'signal matching';
  /** All pauses and signals up to here were compared: a match needs a newer one of either. */
  private comparedTo = 0n;

  constructor(
    private readonly parts: OrderParts &
      Readonly<{ database: Queryable; store: EventStore; clock: () => Date }>,
  ) {}

  async runOnce(): Promise<number> {
    const { database, counts } = this.parts;
    // Read before the tables: what comes between the two is compared twice, and not never.
    const position = await readCheckpoint(database, DISPATCH);
    // A reset sets the tables back, and what they hold then has not been compared.
    if (position < this.comparedTo) this.comparedTo = 0n;
    await forEachPage(
      (after, limit) => database.query<Match>(matches(this.comparedTo, after, limit)),
      async (page) => {
        counts.resumed += await carryOut(await this.orders(page), this.parts);
      },
    );
    this.comparedTo = position;
    return IDLE_MS;
  }

  private async orders(matches: readonly Match[]): Promise<readonly Order[]> {
    const signals = await this.read(new Set(matches.map(({ signal_id: id }) => id)));
    return matches.flatMap(({ job_id: jobId, version, wait, signal_id: signalId }) => {
      const signal = signals.get(signalId);
      if (signal === undefined) return [];
      const { event, key, payload } = signal;
      const outcome = { kind: 'signal', signalId, event, key, payload } as const;
      const at = this.parts.clock();
      return [
        {
          jobId,
          command: { type: 'ResumeJob', at, data: { waitId: wait.id, outcome } },
          // The version, because a retry from an earlier step waits at the same place again.
          commandId: derivedId('resume', jobId, String(version), signalId),
        },
      ];
    });
  }

  private async read(
    signalIds: ReadonlySet<string>,
  ): Promise<ReadonlyMap<string, SignalEvent['data']>> {
    const signals = new Map<string, SignalEvent['data']>();
    for (const signalId of signalIds) {
      const [event] = await this.parts.store.readStream<SignalEvent>(signalId, { limit: 1 });
      if (event) signals.set(signalId, event.data);
    }
    return signals;
  }
}

/**
 * The paused jobs that a newer pause or signal than `since` may resume, each with the signal that does. New signals
 * are taken together by what they are called, as many of one name may come while many jobs wait for it.
 */
const matches = (since: bigint, after: string, limit: number): Statement => sql`
  with recent as materialized (
    select distinct event, key from dispatch.signals
    where position > ${String(since)} and ${since > 0n}
  ), candidate as (
    select job_id from dispatch.waits where position > ${String(since)}
    union
    select job_id from dispatch.waits where key is null and event in (select event from recent)
    union
    select wait.job_id
    from recent join dispatch.waits as wait on wait.event = recent.event and wait.key = recent.key
  )
  select job.job_id, job.version, job.wait, signal.signal_id
  from candidate
  join dispatch.jobs as job on job.job_id = candidate.job_id and job.wait is not null
  cross join lateral (
    select oldest.signal_id
    from dispatch.waits as wait
    cross join lateral (
      (select signal_id, position from dispatch.signals as signal
       where wait.key is null and event = wait.event and position > wait.requested_position
         and not exists (select from dispatch.used_signals as used
                         where used.job_id = wait.job_id and used.signal_id = signal.signal_id)
       order by position limit 1)
      union all
      (select signal_id, position from dispatch.signals as signal
       where event = wait.event and key = wait.key and position > wait.requested_position
         and not exists (select from dispatch.used_signals as used
                         where used.job_id = wait.job_id and used.signal_id = signal.signal_id)
       order by position limit 1)
    ) as oldest
    where wait.job_id = candidate.job_id
    order by oldest.position limit 1
  ) as signal
  where candidate.job_id > ${after}
  order by candidate.job_id limit ${limit}`;
