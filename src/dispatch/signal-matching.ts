import { readCheckpoint } from '../event-store/checkpoint.ts';
import type { EventStore } from '../event-store/event-store.ts';
import { isAwaited } from '../events/payload-match.ts';
import type { SignalEvent } from '../events/signal.ts';
import type { Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import { type Order, type OrderParts, carryOut } from './carry-out.ts';
import { inParallel } from './in-parallel.ts';
import { forEachPage } from './job-pages.ts';
import { DISPATCH } from './names.ts';
import { IDLE_MS, type Reaction } from './reaction.ts';
import { type Candidate, candidates, matches } from './signal-sql.ts';

type Signals = ReadonlyMap<string, SignalEvent['data']>;

/** Of pairs of a job and a signal whose payload is looked at. */
const PAGE = 500;
const END = '9223372036854775807';
const PARALLEL_READS = 8;

/**
 * Resumes paused jobs with the oldest signal that ends their wait: one that came since the job was requested, before
 * or after the pause, ended no other wait of that job, and has the payload that the wait asks for.
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
    if (position === this.comparedTo) return IDLE_MS;
    await forEachPage(
      (after, limit) => database.query<Candidate>(matches(this.comparedTo, after, limit)),
      async (page) => {
        const signals = await this.read(page);
        counts.resumed += await carryOut(this.orders(page, signals), this.parts);
      },
    );
    await this.comparePayloads();
    this.comparedTo = position;
    return IDLE_MS;
  }

  /** Of what waits for certain payloads: each signal by its payload, the oldest first, until one fits. */
  private async comparePayloads(): Promise<void> {
    const { database, counts } = this.parts;
    let after = { jobId: '', position: '0' };
    for (;;) {
      const page = await database.query<Candidate>(candidates(this.comparedTo, after, PAGE));
      const signals = await this.read(page);
      const fitting = new Map<string, Candidate>();
      for (const each of page) {
        const signal = signals.get(each.signal_id);
        if (!signal || fitting.has(each.job_id) || !isAwaited(each.wait.on, signal)) continue;
        fitting.set(each.job_id, each);
      }
      counts.resumed += await carryOut(this.orders([...fitting.values()], signals), this.parts);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      // What is left of a job that goes on is not looked at.
      const position = fitting.has(last.job_id) ? END : last.position;
      after = { jobId: last.job_id, position };
    }
  }

  private orders(page: readonly Candidate[], signals: Signals): readonly Order[] {
    return page.flatMap(({ job_id: jobId, version, wait, signal_id: signalId }) => {
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

  private async read(page: readonly Candidate[]): Promise<Signals> {
    const signals = new Map<string, SignalEvent['data']>();
    const ids = new Set(page.map(({ signal_id: id }) => id));
    await inParallel([...ids], PARALLEL_READS, async (signalId) => {
      const [event] = await this.parts.store.readStream<SignalEvent>(signalId, { limit: 1 });
      if (event) signals.set(signalId, event.data);
    });
    return signals;
  }
}
