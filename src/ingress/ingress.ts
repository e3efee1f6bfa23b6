import type { Server } from 'node:http';
import { isDeepStrictEqual } from 'node:util';

import type { FastifyInstance } from 'fastify';

import type { Logger } from '../platform/logger.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import type { Door } from '../write/door.ts';
import { createHttpServer } from './http-server.ts';
import { BodyReader } from './webhooks/body-reader.ts';
import { ClientAddress } from './webhooks/client-address.ts';
import { FailureLimit } from './webhooks/failure-limit.ts';
import { type IngressMetrics, NO_METRICS } from './webhooks/ingress-metrics.ts';
import { Interpreter } from './webhooks/interpreter.ts';
import type { Plan } from './webhooks/plan-jobs.ts';
import { MEBIBYTE } from './webhooks/provider.ts';
import { Receiver } from './webhooks/receive.ts';
import { type StoreDelivery, throughDoor } from './webhooks/store-delivery.ts';
import { WebhookEndpoint } from './webhooks/webhook-endpoint.ts';

export type IngressOptions = Readonly<{
  door: Door;
  sources: readonly WebhookSource[];
  plan: Plan;
  logger: Logger;
  metrics?: IngressMetrics;
  /** Takes the place of the door, for what goes around it. */
  store?: StoreDelivery;
  /** How long the store may take before the sender is told to come again. */
  storeDeadlineMs?: number;
  /** Addresses and networks of the proxies whose `X-Forwarded-For` is believed; default none. */
  trustedProxies?: readonly string[];
  /** How much that is not authentic an address may send a minute; null or left out: as much as it likes. */
  maxFailuresPerMinute?: number | null;
  /** For the headers, and again for the body. */
  readDeadlineMs?: number;
  /** Prefixes of `file:` clone URLs that facts may keep. */
  localClones?: readonly string[];
  clock?: () => Date;
  /** The file that the worker thread for large bodies runs. */
  workerUrl?: URL;
}>;

/** What all bodies that are being read or stored may take together. */
const MAX_HELD_BYTES = 256 * MEBIBYTE;

/**
 * Takes webhooks. It is no application of Nest: the classes of a framework that it does not need would be half of its
 * memory and most of its start.
 */
export class Ingress {
  private constructor(
    private readonly options: IngressOptions,
    private readonly server: FastifyInstance,
    private readonly endpoint: WebhookEndpoint,
    private readonly interpreter: Interpreter,
  ) {}

  /** Ready to listen; listening and closing belong to the caller. */
  static create(options: IngressOptions): Ingress {
    const readDeadlineMs = options.readDeadlineMs ?? 10_000;
    const interpreter = new Interpreter(options.workerUrl);
    const endpoint = new WebhookEndpoint({
      receivers: receiversOf(options, interpreter),
      bodies: new BodyReader(MAX_HELD_BYTES),
      clients: new ClientAddress(options.trustedProxies ?? []),
      failures:
        typeof options.maxFailuresPerMinute === 'number'
          ? new FailureLimit(options.maxFailuresPerMinute)
          : null,
      bodyDeadlineMs: readDeadlineMs,
      metrics: options.metrics ?? NO_METRICS,
      logger: options.logger,
    });
    const server = createHttpServer(
      { headersTimeoutMs: readDeadlineMs, requestTimeoutMs: readDeadlineMs * 2 },
      (...webhook) => endpoint.handle(...webhook),
    );
    return new Ingress(options, server, endpoint, interpreter);
  }

  get http(): Server {
    return this.server.server;
  }

  /** The port, which is any free one for 0. */
  async listen(port: number, host: string): Promise<number> {
    await this.server.listen({ port, host });
    return (this.http.address() as { port: number }).port;
  }

  /**
   * Takes deliveries of these sources from now on. Requests at hand end by the sources of when they began; a source that
   * has not changed goes on, with its rate as it is.
   */
  replaceSources(sources: readonly WebhookSource[]): void {
    const fresh = receiversOf({ ...this.options, sources }, this.interpreter);
    this.endpoint.change((old) => {
      const kept = [...old].filter(([name, { source }]) =>
        isDeepStrictEqual(source, fresh.get(name)?.source),
      );
      return new Map([...fresh, ...kept]);
    });
  }

  /** Ends when every request at hand has been answered. */
  async close(): Promise<void> {
    await this.server.close();
    await this.interpreter.close();
  }
}

function receiversOf(options: IngressOptions, interpreter: Interpreter): Map<string, Receiver> {
  const store = options.store ?? throughDoor(options.door, options.storeDeadlineMs ?? 2000);
  return new Map(
    options.sources.map((source) => [
      source.name,
      new Receiver({
        source,
        store,
        interpret: (order) => interpreter.interpret(order),
        plan: options.plan,
        localClones: options.localClones ?? [],
        logger: options.logger,
        clock: options.clock ?? (() => new Date()),
      }),
    ]),
  );
}
