import type { JobEvent } from '../../events/job.ts';
import type { Queryable } from '../../platform/database.ts';
import { uuidIn } from '../../platform/ids.ts';
import { sql } from '../../platform/sql.ts';
import {
  DecideJob,
  type Redeliver,
  type Redelivery,
  type RedeliveryEffect,
  type RereadDelivery,
  type Retriable,
  type StoredDelivery,
} from '../door.ts';
import type { JobDecisions } from '../job/decide-job.ts';
import { Rejected } from '../rejected.ts';
import { deliveredJobId } from './delivery-rows.ts';
import type { SealTrigger } from './seal-delivery.ts';

type Found = Readonly<{ id: string; key: string; stored: StoredDelivery }>;

type Row = Readonly<
  Pick<
    StoredDelivery,
    'source' | 'provider' | 'event' | 'outcome' | 'triggers' | 'headers' | 'body'
  > & { id: string; delivery_id: string; delivery_key: string }
>;

type Wanted = Readonly<{ jobId: string }> & RereadDelivery['jobs'][number];

const ALL: readonly Retriable[] = ['failed', 'cancelled'];

/** Requests the jobs of stored deliveries again. */
export class Redeliveries {
  constructor(
    private readonly database: Queryable,
    private readonly jobs: JobDecisions,
    private readonly sealTrigger: SealTrigger | null = null,
  ) {}

  async redeliver({ deliveryId, options }: Redeliver): Promise<Redelivery> {
    const { id, key, stored } = await this.find(deliveryId);
    const read = await options.read(stored);
    const wanted = read.jobs.map((job): Wanted => {
      const index = read.triggers.indexOf(job.trigger);
      const { workflow } = job.planned;
      return { ...job, jobId: deliveredJobId({ source: stored.source, key }, workflow, index) };
    });
    const jobs: Redelivery['jobs'][number][] = [];
    for (const job of wanted) {
      const effect = await (options.dryRun === true
        ? this.foresee(job, options.retry ?? ALL)
        : this.request(job, id, options));
      jobs.push({ id: job.jobId, workflow: job.planned.workflow, effect });
    }
    if (options.dryRun !== true && jobs.length > 0) await this.link(id, read, jobs);
    return { id, jobs, reason: jobs.length === 0 ? read.reason : null };
  }

  private async find(deliveryId: string): Promise<Found> {
    const [row] = await this.database.query<Row>(sql`
      select id, source, provider, delivery_id, delivery_key, event, outcome, triggers, headers, body
      from ingress.deliveries
      where id = any (${uuidIn(deliveryId)}::uuid[]) or delivery_id = ${deliveryId}
      order by (id = any (${uuidIn(deliveryId)}::uuid[])) desc, received_at desc limit 1`);
    if (row === undefined) throw new Rejected('delivery-not-found');
    const { id, delivery_id, delivery_key: key, ...stored } = row;
    return { id, key, stored: { ...stored, deliveryId: delivery_id } };
  }

  private async request(
    { jobId, trigger, planned }: Wanted,
    deliveryId: string,
    { at, actor, retry = ALL }: Redeliver['options'],
  ): Promise<RedeliveryEffect> {
    const about = {
      causationId: deliveryId,
      correlationId: deliveryId,
      ...(actor === undefined ? {} : { actor }),
    };
    const data = { ...planned, trigger, input: null, deliveryId };
    const { history, events } = await this.jobs.decide(
      new DecideJob(jobId, { type: 'RequestJob', at, data }, about),
    );
    if (events.length > 0) return 'requested';
    const { status } = history.state.phase;
    if (!retry.some((each) => each === status)) return 'none';
    const retried = await this.jobs.decide(
      new DecideJob(jobId, { type: 'RetryJob', at, data: { fromStep: null } }, about),
    );
    return retried.events.length > 0 ? 'retried' : 'none';
  }

  private async foresee({ jobId }: Wanted, retry: readonly Retriable[]): Promise<RedeliveryEffect> {
    const [last] = await this.database.query<{ type: JobEvent['type'] }>(sql`
      select type from log.events where stream_id = ${jobId} order by version desc limit 1`);
    if (last === undefined) return 'requested';
    const begins = retry.some((each) => ENDS[each] === last.type);
    return begins ? 'retried' : 'none';
  }

  private async link(id: string, read: RereadDelivery, jobs: Redelivery['jobs']): Promise<void> {
    const { sealTrigger: seal } = this;
    const triggers = seal ? await Promise.all(read.triggers.map(seal)) : read.triggers;
    const linked = jobs.map(({ id: jobId, workflow }) => ({ id: jobId, workflow }));
    await this.database.query(sql`
      update ingress.deliveries
      set jobs = ${JSON.stringify(linked)}, triggers = ${JSON.stringify(triggers)},
        repository = ${read.triggers[0]?.repository?.fullName ?? null}, outcome = 'accepted', reason = null
      where id = ${id}`);
  }
}

const ENDS: Readonly<Record<Retriable, JobEvent['type']>> = {
  failed: 'JobFailed',
  cancelled: 'JobCancelled',
};
