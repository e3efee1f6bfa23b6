import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Logger } from '../../platform/logger.ts';
import { type BodyReader, SenderGone } from './body-reader.ts';
import type { IngressMetrics } from './ingress-metrics.ts';
import { REFUSALS, Refused, problemAnswer } from './problem.ts';
import type { Headers } from './provider.ts';
import type { Received, Receiver } from './receive.ts';
import { sendAnswer } from './send-answer.ts';

export type EndpointParts = Readonly<{
  receivers: ReadonlyMap<string, Receiver>;
  bodies: BodyReader;
  bodyDeadlineMs: number;
  metrics: IngressMetrics;
  logger: Logger;
}>;

/** Connects Node's requests to the receivers. Answers every request whose sender still listens; never throws. */
export class WebhookEndpoint {
  private readonly refused = new Map<string, Readonly<{ since: number; unlogged: number }>>();

  constructor(private readonly parts: EndpointParts) {}

  async handle(source: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const start = performance.now();
    const { outcome, answer } = await this.receive(source, request, response);
    if (answer !== null) sendAnswer(request, response, answer);
    const { metrics, receivers } = this.parts;
    const seconds = (performance.now() - start) / 1000;
    const label = receivers.has(source) ? source : 'unknown';
    metrics.countDelivery(label, outcome);
    metrics.observeSeconds(seconds);
    this.log(label, outcome, { status: answer?.status, seconds });
  }

  /** Anybody can have requests refused, so of each kind of refusal one a second is logged. */
  private log(source: string, outcome: string, more: object): void {
    const { logger } = this.parts;
    if (!REFUSALS.has(outcome)) {
      logger.info({ source, outcome, ...more }, 'delivery');
      return;
    }
    const kind = `${source} ${outcome}`;
    const now = performance.now();
    const { since, unlogged } = this.refused.get(kind) ?? { since: -Infinity, unlogged: 0 };
    if (now - since < 1000) {
      this.refused.set(kind, { since, unlogged: unlogged + 1 });
      return;
    }
    this.refused.set(kind, { since: now, unlogged: 0 });
    logger.warn({ source, outcome, unlogged, ...more }, 'delivery refused');
  }

  private async receive(
    source: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Pick<Received, 'outcome'> & { answer: Received['answer'] | null }> {
    try {
      const receiver = this.parts.receivers.get(source);
      if (receiver === undefined)
        throw new Refused('unknown-path', 'There is no such webhook source');
      return await receiver.receive({
        headers: flat(request),
        remoteAddress: request.socket.remoteAddress ?? '',
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
        return { outcome: error.problem, answer: problemAnswer(error) };
      }
      if (error instanceof SenderGone) return { outcome: 'sender-gone', answer: null };
      this.parts.logger.error({ err: error }, 'A request met a fault of ours: this is a bug');
      const refused = new Refused(
        'unavailable',
        'The delivery was not stored: send it again later',
        {
          'retry-after': '5',
        },
      );
      return { outcome: refused.problem, answer: problemAnswer(refused) };
    }
  }
}

const flat = ({ headers }: IncomingMessage): Headers =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
