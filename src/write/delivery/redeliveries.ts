import type { Trigger } from '../../events/trigger.ts';
import type { Queryable } from '../../platform/database.ts';
import { sql } from '../../platform/sql.ts';
import { DecideJob, type PlannedJob, type Redeliver, type Redelivery } from '../door.ts';
import type { JobDecisions } from '../job/decide-job.ts';
import { Rejected } from '../rejected.ts';
import { deliveredJobId } from './delivery-rows.ts';

type StoredDelivery = Readonly<{
  id: string;
  source: string;
  delivery_key: string;
  triggers: readonly Trigger[];
}>;

type Wanted = Readonly<{ jobId: string; trigger: Trigger; planned: PlannedJob }>;

/** Requests the jobs of stored deliveries again. */
export class Redeliveries {
  constructor(
    private readonly database: Queryable,
    private readonly jobs: JobDecisions,
  ) {}

  async redeliver({ deliveryId, options }: Redeliver): Promise<Redelivery> {
    const delivery = await this.find(deliveryId);
    const wanted = delivery.triggers.flatMap((trigger, index) =>
      options.plan(trigger).map((planned): Wanted => {
        const { source, delivery_key: key } = delivery;
        return {
          jobId: deliveredJobId({ source, key }, planned.workflow, index),
          trigger,
          planned,
        };
      }),
    );
    for (const job of wanted) await this.request(job, delivery.id, options);
    const jobs = wanted.map(({ jobId, planned }) => ({ id: jobId, workflow: planned.workflow }));
    if (jobs.length > 0) {
      await this.database.query(sql`
        update ingress.deliveries set jobs = ${JSON.stringify(jobs)}, outcome = 'accepted', reason = null
        where id = ${delivery.id}`);
    }
    return { id: delivery.id, jobs };
  }

  private async find(deliveryId: string): Promise<StoredDelivery> {
    const [delivery] = await this.database.query<StoredDelivery>(sql`
      select id, source, delivery_key, triggers from ingress.deliveries
      where id::text = ${deliveryId} or delivery_id = ${deliveryId}
      order by (id::text = ${deliveryId}) desc, received_at desc limit 1`);
    if (delivery === undefined) throw new Rejected('delivery-not-found');
    return delivery;
  }

  private async request(
    { jobId, trigger, planned }: Wanted,
    deliveryId: string,
    { at, actor }: Redeliver['options'],
  ): Promise<void> {
    const about = {
      causationId: deliveryId,
      correlationId: deliveryId,
      ...(actor === undefined ? {} : { actor }),
    };
    const data = { ...planned, trigger, input: null, deliveryId };
    const { history } = await this.jobs.decide(
      new DecideJob(jobId, { type: 'RequestJob', at, data }, about),
    );
    const { status } = history.state.phase;
    if (status !== 'failed' && status !== 'cancelled') return;
    await this.jobs.decide(
      new DecideJob(jobId, { type: 'RetryJob', at, data: { fromStep: null } }, about),
    );
  }
}
