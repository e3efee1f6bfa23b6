import { setTimeout } from 'node:timers/promises';

import { PostgresEventStore, appendLane } from '../../src/event-store/postgres-event-store.ts';
import { PostgresLogHints } from '../../src/event-store/postgres-log-hints.ts';
import type { Append } from '../../src/event-store/event-store.ts';
import type { JobEvent } from '../../src/events/job.ts';
import { Database } from '../../src/platform/database.ts';
import { newId } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { request } from '../../test/support/jobs.ts';

const TICK_MS = 10;

/** Writes the events of jobs as the other roles do: batched, and announced to the other processes. */
export class JobWriter {
  readonly jobIds: string[] = [];
  private readonly logger = createLogger('warn', 'bench');
  private readonly database: Database;
  private readonly lane: ReturnType<typeof appendLane>;
  readonly hints: PostgresLogHints;
  private readonly ended = new AbortController();
  private readonly hinting: Promise<void>;
  readonly store: PostgresEventStore;

  constructor(databaseUrl: string) {
    const { logger } = this;
    this.database = new Database(databaseUrl, { max: 2, applicationName: 'bench', logger });
    this.lane = appendLane({ databaseUrl, logger });
    this.hints = new PostgresLogHints({ databaseUrl, logger });
    this.hinting = this.hints.run(this.ended.signal);
    this.store = new PostgresEventStore({
      database: this.database,
      lane: this.lane,
      hints: this.hints,
    });
  }

  /** Jobs that wait for a worker. */
  async request(count: number): Promise<void> {
    const ids = Array.from({ length: count }, newId);
    await Promise.all(
      ids.map((id) => this.append(id, 0, { type: 'JobRequested', data: request() })),
    );
    this.jobIds.push(...ids);
  }

  /** One event of one job after the other, so many in a second whatever each takes; resolves when all are stored. */
  async update({
    perSecond,
    seconds,
    onAppended = () => {},
  }: Readonly<{
    perSecond: number;
    seconds: number;
    /** Told of each one's place, and of when its append began. */
    onAppended?: (position: bigint, began: number) => void;
  }>): Promise<number> {
    const appends: Promise<void>[] = [];
    const total = perSecond * seconds;
    const began = performance.now();
    while (appends.length < total) {
      const due = Math.min(total, ((performance.now() - began) * perSecond) / 1_000);
      while (appends.length < due) {
        const id = this.jobIds[appends.length % this.jobIds.length] ?? '';
        appends.push(this.start(id, onAppended));
      }
      await setTimeout(TICK_MS);
    }
    await Promise.all(appends);
    return total;
  }

  async close(): Promise<void> {
    this.ended.abort();
    await this.hinting;
    await this.lane.close();
    await this.database.close();
  }

  private async start(
    id: string,
    onAppended: (position: bigint, began: number) => void,
  ): Promise<void> {
    const began = performance.now();
    const position = await this.append(id, 'exists', {
      type: 'JobStarted',
      data: { runId: newId(), attempt: 1, workerId: 'worker-1' },
    });
    onAppended(position, began);
  }

  private async append(
    streamId: string,
    expected: Append['expected'],
    event: Pick<JobEvent, 'type' | 'data'>,
  ): Promise<bigint> {
    const events = [{ ...event, id: newId(), at: new Date() } as Append['events'][number]];
    const result = await this.store.append({ streamId, expected, events });
    if (result.status !== 'appended') throw new Error(`An event was not stored: ${result.status}`);
    return result.lastPosition;
  }
}
