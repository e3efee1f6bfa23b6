import type { Wait, WaitRequest } from '../events/job.ts';
import type { Json } from '../events/event.ts';
import { waitRequest } from '../messaging/topology.ts';
import type { OutgoingMessage, Transport } from '../messaging/transport.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import { publishAndMark } from './publish-and-mark.ts';
import { IDLE_MS, type Reaction } from './reaction.ts';

const PAGE = 500;
const NOT_READY_MS = 100;

type Asking = Readonly<{ job_id: string; version: number; wait: Wait & { request: WaitRequest } }>;

/** Publishes what a paused job asks other programs for, at its pause and then from time to time until it goes on. */
export class WaitRequests implements Reaction {
  readonly name = 'wait requests';

  constructor(
    private readonly parts: Readonly<{
      database: Queryable;
      transport: Pick<Transport, 'publish' | 'isReady'>;
      counts: DispatchCounts;
      redispatchAfterMs: number;
      logger: Logger;
    }>,
  ) {}

  async runOnce(): Promise<number> {
    const { transport, counts } = this.parts;
    for (;;) {
      if (!transport.isReady()) return NOT_READY_MS;
      const asking = await this.due();
      if (asking.length === 0) return this.msUntilNext();
      await publishAndMark(asking, request, this.parts);
      counts.waitRequests += asking.length;
    }
  }

  private due(): Promise<readonly Asking[]> {
    const after = this.parts.redispatchAfterMs / 1_000;
    return this.parts.database.query<Asking>(sql`
      select job_id, version, wait from dispatch.jobs
      where wait_topic is not null
        and (hinted_at is null or hinted_at <= clock_timestamp() - make_interval(secs => ${after}))
      order by hinted_at nulls first limit ${PAGE}`);
  }

  private async msUntilNext(): Promise<number> {
    const [oldest] = await this.parts.database.query<{ age_ms: number | null }>(sql`
      select extract(epoch from clock_timestamp() - min(hinted_at))::float8 * 1000 as age_ms
      from dispatch.jobs where wait_topic is not null`);
    const ageMs = oldest?.age_ms ?? null;
    return ageMs === null ? IDLE_MS : Math.max(this.parts.redispatchAfterMs - ageMs, 1);
  }
}

/** Not mandatory: a topic that nobody is bound to yet is no fault. */
const request = ({ job_id: jobId, version, wait }: Asking): OutgoingMessage => ({
  ...waitRequest(wait.request.topic),
  messageId: `${jobId}:${String(version)}`,
  body: { ...fields(wait.request.body), jobId, waitId: wait.id },
});

/** A body that is no object goes in as `body`. */
const fields = (body: Json): Readonly<Record<string, unknown>> =>
  isObject(body) ? body : { body };

const isObject = (body: Json): body is Readonly<Record<string, Json>> =>
  typeof body === 'object' && body !== null && !Array.isArray(body);
