import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

import type { Logger } from '../../platform/logger.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';
import type { ReceivedDelivery } from '../../write/door.ts';
import { AddressList } from './address-list.ts';
import { bodyFormat } from './content-type.ts';
import { type Hint, diagnose } from './diagnose.ts';
import { type Interpretation, type ReadDelivery, uninterpreted } from './interpret.ts';
import type { InterpretOrder } from './interpreter.ts';
import { type DeliveryPlan, type Plan, planJobs } from './plan-jobs.ts';
import { type Answer, Refused, jsonAnswer } from './problem.ts';
import { type BodyFormat, type Headers, MEBIBYTE, type WebhookProvider } from './provider.ts';
import { providerOf } from './providers.ts';
import { RateLimit } from './rate-limit.ts';
import { activeSecrets } from './signature.ts';
import type { StoreDelivery, StoredDelivery } from './store-delivery.ts';
import { storedHeaders } from './stored-headers.ts';

/** One request to a source, as far as the rules care. */
export type DeliveryRequest = Readonly<{
  headers: Headers;
  /** In its plain spelling. */
  clientAddress: string;
  /** How many milliseconds it has taken since its headers were there. */
  elapsedMs: () => number;
  /** Reads the body, at most so many bytes, and holds it while it is used. */
  withBody: <Result>(maxBytes: number, use: (body: Buffer) => Promise<Result>) => Promise<Result>;
}>;

export type ReceiverParts = Readonly<{
  source: WebhookSource;
  store: StoreDelivery;
  interpret: (order: InterpretOrder) => Promise<Interpretation>;
  plan: Plan;
  localClones: readonly string[];
  logger: Logger;
  clock: () => Date;
}>;

/** The answer, and the word that metrics and logs have for it. */
export type Received = Readonly<{ answer: Answer; outcome: string }>;

/** Looking for the reason takes several times as long as finding that there is one, and anybody can have it looked for. */
const MAX_DIAGNOSES_PER_MINUTE = 600;

/**
 * Takes the deliveries of one source: address, format, body, signature, rate, meaning, store, in this
 * order, so that nothing is parsed and no database is asked before the signature has been checked.
 * Throws `Refused` for what is not to be taken. Knows no framework.
 */
export class Receiver {
  private readonly provider: WebhookProvider;
  private readonly allowed: AddressList | null;
  private readonly rate: RateLimit | null;
  private readonly diagnoses = new RateLimit(MAX_DIAGNOSES_PER_MINUTE);
  readonly source: WebhookSource;

  constructor(private readonly parts: ReceiverParts) {
    const { provider, name, allowedIps, maxPerMinute } = parts.source;
    this.source = parts.source;
    this.provider = providerOf(provider);
    this.allowed =
      allowedIps === null ? null : new AddressList(`The source "${name}" allows`, allowedIps);
    this.rate = maxPerMinute === null ? null : new RateLimit(maxPerMinute);
  }

  async receive(request: DeliveryRequest): Promise<Received> {
    if (this.allowed?.has(request.clientAddress) === false) {
      throw new Refused(
        'address-not-allowed',
        'This source takes deliveries from certain addresses only',
      );
    }
    const format = bodyFormat(request.headers, this.provider.formats);
    return request.withBody(this.provider.maxBodyBytes, (body) =>
      this.receiveBody(request, body, format),
    );
  }

  private async receiveBody(
    { headers, elapsedMs }: DeliveryRequest,
    body: Buffer,
    format: BodyFormat,
  ): Promise<Received> {
    await turnOfOthers(body);
    const now = this.parts.clock();
    const secrets = activeSecrets(this.parts.source, now);
    const verdict = this.provider.verify({ headers, body, format, secrets, now });
    if (verdict === 'not-authentic') {
      const isThorough = this.diagnoses.waitMs(now) === 0;
      const delivery = { headers, body, format, now };
      throw this.notAuthentic(diagnose(this.parts.source, delivery, { isThorough }));
    }
    if (verdict === 'unsigned-ping') return unsignedPing();
    this.assertWithinRate(now);
    await turnOfOthers(body);
    const read = await this.interpret({ provider: this.provider.name, headers, body, format });
    const delivery = { ...this.describe({ headers, body, read, now }), elapsedMs };
    return answerTo(delivery, await this.store(delivery));
  }

  private notAuthentic(hint: Hint): Refused {
    const { challenge } = this.provider;
    return new Refused(
      'not-authentic',
      'The delivery is not signed with a secret of this source: check that both sides have the same one',
      challenge === null ? {} : { 'www-authenticate': challenge },
      hint,
    );
  }

  private assertWithinRate(now: Date): void {
    const waitMs = this.rate?.waitMs(now) ?? 0;
    if (waitMs === 0) return;
    throw new Refused(
      this.provider.overRate,
      `The source takes ${String(this.parts.source.maxPerMinute)} deliveries a minute: send it again later`,
      { 'retry-after': String(Math.ceil(waitMs / 1000)) },
    );
  }

  private async interpret(order: InterpretOrder): Promise<ReadDelivery> {
    const read = await this.parts.interpret(order).catch((error: unknown) => uninterpreted(error));
    if (read.kind === 'malformed') throw new Refused('malformed', read.detail);
    if (read.fault !== null) this.logFault(read.fault);
    return read;
  }

  private describe(
    received: Readonly<{ headers: Headers; body: Buffer; read: ReadDelivery; now: Date }>,
  ): ReceivedDelivery {
    const { headers, body, read, now } = received;
    const { source } = this.parts;
    // Where the host gives no id, the same body is the same delivery.
    const id = read.deliveryId ?? `sha256:${createHash('sha256').update(body).digest('hex')}`;
    return {
      source: source.name,
      provider: source.provider,
      deliveryId: id,
      key: read.key ?? id,
      sameBodyIsDuplicate: this.provider.sameBodyIsDuplicate,
      event: read.event,
      action: read.action,
      ...this.plan(read, id),
      headers: storedHeaders(headers),
      body: read.redactedBody === null ? body : Buffer.from(read.redactedBody),
      receivedAt: now,
    };
  }

  /** A workflow whose matcher breaks is a fault of ours: refusing would make the host give the hook up. */
  private plan(read: ReadDelivery, deliveryId: string): DeliveryPlan {
    const { source, plan, localClones } = this.parts;
    try {
      return planJobs(read, { source, deliveryId, plan, localClones });
    } catch (error) {
      const { withheld: reason, fault } = uninterpreted(error);
      this.logFault(fault ?? String(error));
      return { triggers: [], jobs: [], outcome: 'unmappable', reason };
    }
  }

  private logFault(fault: string): void {
    const { logger, source } = this.parts;
    logger.error({ source: source.name, fault }, 'A delivery could not be read: this is a bug');
  }

  private async store(delivery: ReceivedDelivery): Promise<StoredDelivery> {
    try {
      return await this.parts.store(delivery);
    } catch (error) {
      this.parts.logger.warn(
        { source: delivery.source, deliveryId: delivery.deliveryId, err: error },
        'A delivery could not be stored',
      );
      throw new Refused('unavailable', 'The delivery was not stored: send it again later', {
        'retry-after': '5',
      });
    }
  }
}

/** Joining, checking and copying a large body takes tens of milliseconds each: between them others are served. */
async function turnOfOthers(body: Buffer): Promise<void> {
  if (body.length > MEBIBYTE) await setImmediate();
}

function answerTo(delivery: ReceivedDelivery, receipt: StoredDelivery): Received {
  const { deliveryId, reason, outcome } = delivery;
  if (receipt.status === 'id-conflict') {
    throw new Refused(
      'delivery-id-reused',
      `The delivery id "${deliveryId}" was used by another body`,
    );
  }
  const duplicate = receipt.status === 'duplicate';
  const { jobs } = receipt;
  const why = jobs.length > 0 ? {} : { reason: reason ?? 'No job was started' };
  return {
    answer: jsonAnswer(duplicate || jobs.length === 0 ? 200 : 202, {
      deliveryId,
      duplicate,
      jobs: jobs.map(({ id, workflow }) => ({ id, workflow })),
      ...(receipt.status === 'spooled' ? { spooled: true } : {}),
      ...why,
    }),
    outcome: receipt.status === 'new' ? outcome : receipt.status,
  };
}

function unsignedPing(): Received {
  const reason = 'A ping without a signature: the hook reaches us, and nothing was stored';
  return {
    answer: jsonAnswer(200, { deliveryId: null, duplicate: false, jobs: [], reason }),
    outcome: 'unsigned-ping',
  };
}
