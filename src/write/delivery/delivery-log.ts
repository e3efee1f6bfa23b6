import { binaryArray } from '../../event-store/binary-array.ts';
import { Lane } from '../../event-store/lane.ts';
import type { LogHints } from '../../event-store/log-hints.ts';
import type { Queryable } from '../../platform/database.ts';
import { isRefusedData } from '../../event-store/postgres-errors.ts';
import type { Logger } from '../../platform/logger.ts';
import { type Statement, sql } from '../../platform/sql.ts';
import type { DeliveryReceipt, DeliveryRefusal, ReceivedDelivery } from '../door.ts';
import { Rejected } from '../rejected.ts';
import type { DeliveryRow, FirstEventRow } from './delivery-rows.ts';
import { type SealTrigger, sealDelivery } from './seal-delivery.ts';

type Item = Readonly<{ delivery: DeliveryRow; events: readonly FirstEventRow[] }>;

type AnswerRow = {
  status: DeliveryReceipt['status'];
  id: string;
  jobs: readonly Readonly<{ id: string; workflow: string }>[];
};

/** A larger body is written over a connection of its own, as the others would wait for it. */
const LARGE_BYTES = 1_048_576;
const LARGE_STATEMENT_MS = 10_000;

type Options = Readonly<{
  databaseUrl: string;
  logger: Logger;
  /** Told of each delivery that brings events, so that they need not wait for the next poll. */
  hints?: Pick<LogHints, 'announce'>;
  deadlineMs?: number;
  /** Keeps the order of all, though those that come after a large body wait for it. */
  inOrder?: boolean;
  /** null: what names a person in a trigger is stored as it is. */
  sealTrigger?: SealTrigger | null;
}>;

/**
 * The delivery log in Postgres: a delivery's row and the events that it brings are stored in one
 * transaction, or neither is. Deliveries that arrive together share a transaction.
 */
export class DeliveryLog {
  private readonly lane: Lane<Item, DeliveryReceipt>;
  private readonly large: Lane<Item, DeliveryReceipt> | null;
  private sealing: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: Options) {
    const { inOrder = false, ...given } = options;
    const shared = { ...given, keysOf, sizeOf };
    this.lane = new Lane({ ...shared, name: 'deliveries', call: acceptBy(MANY) });
    this.large = inOrder
      ? null
      : new Lane({
          ...shared,
          name: 'large deliveries',
          call: acceptBy(LARGE),
          maxBytes: 0,
          deadlineMs: Math.max(given.deadlineMs ?? 0, LARGE_STATEMENT_MS),
          statementTimeoutMs: LARGE_STATEMENT_MS,
        });
  }

  /**
   * Resolves when it is durable. Rejects with `AppendUncertain` when Postgres does not answer in time, and with
   * `Rejected<DeliveryRefusal>` when it will never take this delivery.
   */
  async accept(delivery: DeliveryRow, events: readonly FirstEventRow[]): Promise<DeliveryReceipt> {
    const { lane, large } = this;
    const through = large !== null && delivery.body.length > LARGE_BYTES ? large : lane;
    const receipt = await through.submit({ delivery, events }).catch((error: unknown) => {
      throw isRefusedData(error) ? refused(error) : error;
    });
    if (receipt.status === 'new' && events.length > 0) this.options.hints?.announce();
    return receipt;
  }

  /** The delivery as it is to be stored. Where the order counts, none is ready before the one that came before it. */
  async sealed(delivery: ReceivedDelivery): Promise<ReceivedDelivery> {
    const { sealTrigger = null, inOrder = false } = this.options;
    if (!sealTrigger) return delivery;
    if (!inOrder) return sealDelivery(delivery, sealTrigger);
    const sealed = this.sealing.then(() => sealDelivery(delivery, sealTrigger));
    this.sealing = sealed.catch(() => undefined);
    return sealed;
  }

  async close(): Promise<void> {
    await Promise.all([this.lane.close(), this.large?.close()]);
  }
}

function refused(error: unknown): Rejected<DeliveryRefusal> {
  return new Rejected('delivery-refused', `Postgres refuses the delivery's data: ${String(error)}`);
}

const keysOf = ({ delivery: { source, key, hash } }: Item): readonly string[] => [
  `${source}\n${key}`,
  `${source}\n${hash.toString('base64')}`,
];

const sizeOf = ({ delivery, events }: Item): Readonly<{ rows: number; bytes: number }> => ({
  rows: 1 + events.length,
  bytes: delivery.body.length + delivery.triggers.length * (1 + events.length),
});

/** Both take the same, and answer the same; the second takes one delivery only. */
const MANY = sql`ingress.accept_deliveries`;
const LARGE = sql`ingress.accept_large_delivery`;

const acceptBy =
  (accepting: Statement) =>
  (connection: Queryable, items: readonly Item[]): Promise<readonly DeliveryReceipt[]> =>
    accept(connection, items, accepting);

async function accept(
  connection: Queryable,
  items: readonly Item[],
  accepting: Statement,
): Promise<readonly DeliveryReceipt[]> {
  const d = items.map(({ delivery }) => delivery);
  const e = items.flatMap(({ events }, index) =>
    events.map((event) => ({ ...event, of: index + 1 })),
  );
  const { text, json, bytea, uuid, bool, int4, float4, timestamptz } = binaryArray;
  const rows = await connection.query<AnswerRow>(sql`
    select status, id, jobs from ${accepting}(
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
      ${float4(d.map(({ elapsedMs }) => elapsedMs?.() ?? null))}::real[],
      ${bool(d.map(({ wasSpooled = false }) => wasSpooled))}::boolean[],
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
