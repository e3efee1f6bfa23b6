import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Logger } from '../../platform/logger.ts';
import { type BodyReader, SenderGone } from './body-reader.ts';
import type { Hint } from './diagnose.ts';
import type { IngressMetrics } from './ingress-metrics.ts';
import { type Answer, REFUSALS, Refused, problemAnswer } from './problem.ts';
import type { Headers } from './provider.ts';
import type { ClientAddress } from './client-address.ts';
import type { FailureLimit } from './failure-limit.ts';
import type { DeliveryRequest, Receiver } from './receive.ts';
import { sendAnswer } from './send-answer.ts';

export type EndpointParts = Readonly<{
  receivers: ReadonlyMap<string, Receiver>;
  bodies: BodyReader;
  clients: ClientAddress;
  /** null: nobody is refused for what was not authentic. */
  failures: FailureLimit | null;
  bodyDeadlineMs: number;
  metrics: IngressMetrics;
  logger: Logger;
}>;

/** What became of a request; no answer when nobody waits for it. */
type Outcome = Readonly<{ outcome: string; answer: Answer | null; hint: Hint | null }>;

type Exchange = Readonly<{
  request: IncomingMessage;
  response: ServerResponse;
  elapsedMs: () => number;
}>;

type Logged = Pick<Outcome, 'outcome' | 'hint'> &
  Readonly<{ status: number | undefined; seconds: number }>;

/** Connects Node's requests to the receivers. Answers every request whose sender still listens; never throws. */
export class WebhookEndpoint {
  private readonly refused = new Map<string, Readonly<{ since: number; unlogged: number }>>();

  private receivers: ReadonlyMap<string, Receiver>;

  constructor(private readonly parts: EndpointParts) {
    this.receivers = parts.receivers;
  }

  /**
   * Takes deliveries with what `change` makes of the receivers. Requests at hand end with the receiver that they began
   * with.
   */
  change(
    change: (receivers: ReadonlyMap<string, Receiver>) => ReadonlyMap<string, Receiver>,
  ): void {
    this.receivers = change(this.receivers);
  }

  async handle(source: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const start = performance.now();
    const receiver = this.receivers.get(source);
    const elapsedMs = (): number => performance.now() - start;
    const { outcome, answer, hint } = await this.receive(receiver, {
      request,
      response,
      elapsedMs,
    });
    if (answer !== null) sendAnswer(request, response, answer);
    const { metrics } = this.parts;
    const seconds = elapsedMs() / 1000;
    const label = receiver === undefined ? 'unknown' : source;
    metrics.countDelivery(label, outcome);
    if (hint !== null) metrics.countNotAuthentic(label, hint);
    metrics.observeSeconds(seconds);
    this.log(label, { outcome, hint, status: answer?.status, seconds });
  }

  /** Anybody can have requests refused, so of each kind of refusal one a second is logged. */
  private log(source: string, { hint, ...fate }: Logged): void {
    const { logger } = this.parts;
    if (!REFUSALS.has(fate.outcome)) {
      logger.info({ source, ...fate }, 'delivery');
      return;
    }
    const kind = `${source} ${fate.outcome} ${hint ?? ''}`;
    const now = performance.now();
    const { since, unlogged } = this.refused.get(kind) ?? { since: -Infinity, unlogged: 0 };
    if (now - since < 1000) {
      this.refused.set(kind, { since, unlogged: unlogged + 1 });
      return;
    }
    this.refused.set(kind, { since: now, unlogged: 0 });
    logger.warn(
      { source, ...fate, unlogged, ...(hint === null ? {} : { hint }) },
      'delivery refused',
    );
  }

  private async receive(
    receiver: Receiver | undefined,
    { request, response, elapsedMs }: Exchange,
  ): Promise<Outcome> {
    try {
      if (receiver === undefined)
        throw new Refused('unknown-path', 'There is no such webhook source');
      const headers = flat(request);
      const clientAddress = this.parts.clients.of(
        request.socket.remoteAddress ?? '',
        headers['x-forwarded-for'],
      );
      return await this.receiveFrom(clientAddress, receiver, {
        headers,
        clientAddress,
        elapsedMs,
        withBody: (bytes, use) => {
          const invite = (): void => {
            if (request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue();
          };
          const limits = { bytes, deadlineMs: this.parts.bodyDeadlineMs, invite };
          return this.parts.bodies.withBody(request, limits, use);
        },
      });
    } catch (error) {
      if (error instanceof Refused) {
        return { outcome: error.problem, answer: problemAnswer(error), hint: error.hint };
      }
      if (error instanceof SenderGone) return { outcome: 'sender-gone', answer: null, hint: null };
      this.parts.logger.error({ err: error }, 'A request met a fault of ours: this is a bug');
      const refused = new Refused(
        'unavailable',
        'The delivery was not stored: send it again later',
        {
          'retry-after': '5',
        },
      );
      return { outcome: refused.problem, answer: problemAnswer(refused), hint: null };
    }
  }

  /** Counts what is not authentic by address, and refuses those that send nothing else before they are listened to. */
  private async receiveFrom(
    address: string,
    receiver: Receiver,
    request: DeliveryRequest,
  ): Promise<Outcome> {
    const { failures } = this.parts;
    const waitMs = failures?.waitMs(address, performance.now()) ?? 0;
    if (waitMs > 0) throw tooManyFailures(waitMs);
    try {
      const received = await receiver.receive(request);
      if (received.outcome !== 'unsigned-ping') failures?.succeeded(address);
      return { ...received, hint: null };
    } catch (error) {
      if (error instanceof Refused && error.problem === 'not-authentic') {
        failures?.failed(address, performance.now());
      }
      throw error;
    }
  }
}

const tooManyFailures = (waitMs: number): Refused =>
  new Refused(
    'too-many-failures',
    'Nothing that came from this address was authentic, and there was much: send it again later',
    { 'retry-after': String(Math.ceil(waitMs / 1000)) },
  );

function flat({ headers }: IncomingMessage): Headers {
  // Without a prototype, as a header may have any name.
  const flattened = Object.create(null) as Record<string, string>;
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) flattened[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flattened;
}
