import { binaryArray } from '../../event-store/binary-array.ts';
import { Lane } from '../../event-store/lane.ts';
import type { LogHints } from '../../event-store/log-hints.ts';
import type { Queryable } from '../../platform/database.ts';
import { isRefusedData } from '../../event-store/postgres-errors.ts';
import type { Logger } from '../../platform/logger.ts';
import { sql } from '../../platform/sql.ts';
import type { DeliveryReceipt, DeliveryRefusal } from '../door.ts';
import { Rejected } from '../rejected.ts';
import type { DeliveryRow, FirstEventRow } from './delivery-rows.ts';

type Item = Readonly<{ delivery: DeliveryRow; events: readonly FirstEventRow[] }>;

type AnswerRow = {
  status: DeliveryReceipt['status'];
  id: string;
  jobs: readonly Readonly<{ id: string; workflow: string }>[];
};

/**
 * The delivery log in Postgres: a delivery's row and the events that it brings are stored in one
 * transaction, or neither is. Deliveries that arrive together share a transaction.
 */
export class DeliveryLog {
  private readonly lane: Lane<Item, DeliveryReceipt>;

  constructor(
    private readonly options: Readonly<{
      databaseUrl: string;
      logger: Logger;
      /** Told of each delivery that brings events, so that they need not wait for the next poll. */
      hints?: Pick<LogHints, 'announce'>;
      deadlineMs?: number;
    }>,
  ) {
    this.lane = new Lane<Item, DeliveryReceipt>({
      name: 'deliveries',
      ...options,
      call: acceptDeliveries,
      keysOf: ({ delivery: { source, key, hash } }) => [
        `${source}\n${key}`,
        `${source}\n${hash.toString('hex')}`,
      ],
      sizeOf: ({ delivery, events }) => ({
        rows: 1 + events.length,
        bytes: delivery.body.length + delivery.triggers.length * (1 + events.length),
      }),
    });
  }

  /**
   * Resolves when it is durable. Rejects with `AppendUncertain` when Postgres does not answer in time, and with
   * `Rejected<DeliveryRefusal>` when it will never take this delivery.
   */
  async accept(delivery: DeliveryRow, events: readonly FirstEventRow[]): Promise<DeliveryReceipt> {
    const receipt = await this.lane.submit({ delivery, events }).catch((error: unknown) => {
      throw isRefusedData(error) ? refused(error) : error;
    });
    if (receipt.status === 'new' && events.length > 0) this.options.hints?.announce();
    return receipt;
  }

  async close(): Promise<void> {
    await this.lane.close();
  }
}

function refused(error: unknown): Rejected<DeliveryRefusal> {
  return new Rejected('delivery-refused', `Postgres refuses the delivery's data: ${String(error)}`);
}

async function acceptDeliveries(
  connection: Queryable,
  items: readonly Item[],
): Promise<readonly DeliveryReceipt[]> {
  const d = items.map(({ delivery }) => delivery);
  const e = items.flatMap(({ events }, index) =>
    events.map((event) => ({ ...event, of: index + 1 })),
  );
  const { text, json, bytea, uuid, bool, int4, timestamptz } = binaryArray;
  const rows = await connection.query<AnswerRow>(sql`
    select status, id, jobs from ingress.accept_deliveries(
      ${uuid(d.map(({ id }) => id))}::uuid[],
      ${timestamptz(d.map(({ receivedAt }) => receivedAt))}::timestamptz[],
      ${text(d.map(({ source }) => source))}::text[],
      ${text(d.map(({ provider }) => provider))}::text[],
      ${text(d.map(({ deliveryId }) => deliveryId))}::text[],
      ${text(d.map(({ key }) => key))}::text[],
      ${bytea(d.map(({ hash }) => hash))}::bytea[],
      ${bool(d.map(({ sameBodyIsDuplicate }) => sameBodyIsDuplicate))}::boolean[],
      ${text(d.map(({ event }) => event))}::text[],
      ${text(d.map(({ action }) => action))}::text[],
      ${text(d.map(({ outcome }) => outcome))}::text[],
      ${text(d.map(({ reason }) => reason))}::text[],
      ${text(d.map(({ repository }) => repository))}::text[],
      ${json(d.map(({ triggers }) => triggers))}::json[],
      ${json(d.map(({ jobs }) => jobs))}::json[],
      ${json(d.map(({ headers }) => headers))}::json[],
      ${bytea(d.map(({ body }) => body))}::bytea[],
      ${int4(e.map(({ of }) => of))}::integer[],
      ${text(e.map(({ streamId }) => streamId))}::text[],
      ${uuid(e.map(({ eventId }) => eventId))}::uuid[],
      ${text(e.map(({ type }) => type))}::text[],
      ${timestamptz(e.map(({ at }) => at))}::timestamptz[],
      ${json(e.map(({ data }) => data))}::json[],
      ${json(e.map(({ metadata }) => metadata))}::json[])
    order by delivery`);
  return rows.map(({ status, id, jobs }) =>
    status === 'id-conflict' ? { status } : { status, id, jobs },
  );
}
