import { EventEmitter, once } from 'node:events';
import type { Duplex } from 'node:stream';

import { type ChannelModel, connect } from 'amqplib';

import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import { whenAborted } from './abort.ts';
import { attempt, settledWithin } from './rabbitmq-channel.ts';
import { TopologyMismatch, declareTopology } from './rabbitmq-topology.ts';
import type { Topology } from './topology.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;
const MAX_BACKOFF_MS = 3_000;
/** A connection that lasted this long was a good one: the next attempt follows its loss at once. */
const STABLE_MS = 10_000;

export type ConnectionOptions = Readonly<{
  url: string;
  /** Shown in the server's list of connections. */
  name: string;
  heartbeatSeconds: number;
  topology: Topology;
  logger: Logger;
}>;

type Opened = Readonly<{ model: ChannelModel; lost: Promise<Error> }>;

/** A connection that comes back by itself after every loss, with the topology declared before anybody uses it. */
export class RabbitmqConnection {
  /** Resolves after the first attempt to connect, also a failed one; rejects with `TopologyMismatch`. */
  readonly firstAttempt: Promise<void>;
  private readonly options: ConnectionOptions;
  private readonly events = new EventEmitter().setMaxListeners(0);
  private settleFirstAttempt: (failure: unknown) => void = () => undefined;
  private model: ChannelModel | null = null;
  private blocked = false;

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.firstAttempt = new Promise((resolve, reject) => {
      this.settleFirstAttempt = (failure) => {
        if (failure instanceof TopologyMismatch) reject(failure);
        else resolve();
      };
    });
    // Nobody need wait for the first attempt; each failure is logged besides.
    this.firstAttempt.catch(() => undefined);
  }

  /** Connects, and again after each loss, until `signal` aborts; resolves when the connection is closed. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      await this.connectOnce(signal);
      failures = performance.now() - startedAt > STABLE_MS ? 1 : failures + 1;
      await pause(backoffMs(failures, { maxMs: MAX_BACKOFF_MS }), signal);
    }
    this.settleFirstAttempt(null);
  }

  /** Open, with the topology declared. Rejects when `signal` aborts first. */
  async whenOpen(signal: AbortSignal): Promise<ChannelModel> {
    while (this.model === null) await once(this.events, 'open', { signal });
    return this.model;
  }

  /** Whether the server takes messages: it is there and has not blocked the connection for want of memory or disk. */
  takesMessages(): boolean {
    return this.model !== null && !this.blocked;
  }

  onUnblocked(listener: () => void): void {
    this.events.on('unblocked', listener);
  }

  /** Connects anew and so declares the topology anew: somebody has deleted a part of it while we were connected. */
  reset(): void {
    const { model } = this;
    if (model !== null) void attempt(() => model.close());
  }

  /** Connects and holds the connection until it is lost or `signal` aborts. */
  private async connectOnce(signal: AbortSignal): Promise<void> {
    const { name, logger } = this.options;
    const { aborted, release } = whenAborted(signal);
    const opening = this.open();
    try {
      const opened = await Promise.race([opening, aborted]);
      if (opened === undefined) return;
      logger.info({ connection: name }, 'connected to RabbitMQ');
      const reason = await Promise.race([opened.lost, aborted]);
      if (reason !== undefined) throw reason;
    } catch (error) {
      this.settleFirstAttempt(error);
      const level = error instanceof TopologyMismatch ? 'error' : 'warn';
      logger[level]({ err: error, connection: name }, 'no connection to RabbitMQ; trying again');
    } finally {
      release();
      // An attempt that the abort has overtaken is still closed when it succeeds.
      const closing = attempt(async () => close(await opening));
      if (!signal.aborted || this.model !== null) await closing;
    }
  }

  private async open(): Promise<Opened> {
    const { url, name, heartbeatSeconds, topology } = this.options;
    const model = await connect(withHeartbeat(url, heartbeatSeconds), {
      noDelay: true,
      keepAlive: true,
      timeout: CONNECT_TIMEOUT_MS,
      clientProperties: { connection_name: name },
    });
    const lost = this.watch(model);
    try {
      await declareTopology(model, topology);
    } catch (error) {
      await close({ model, lost });
      throw error;
    }
    this.model = model;
    this.blocked = false;
    this.settleFirstAttempt(null);
    this.events.emit('open');
    return { model, lost };
  }

  private watch(model: ChannelModel): Promise<Error> {
    model.on('blocked', (reason) => {
      this.blocked = true;
      this.options.logger.warn({ reason }, 'RabbitMQ takes no messages for now');
    });
    model.on('unblocked', () => {
      this.blocked = false;
      this.options.logger.info('RabbitMQ takes messages again');
      this.events.emit('unblocked');
    });
    return new Promise((resolve) => {
      let cause: Error | undefined;
      model.on('error', (error) => {
        cause = error;
      });
      model.on('close', (error) => {
        if (this.model === model) this.model = null;
        resolve(cause ?? error ?? new Error('The connection was closed'));
      });
    });
  }
}

/** Resolves when the connection is closed, or as good as: a peer that does not answer is left. Never rejects. */
async function close({ model, lost }: Opened): Promise<void> {
  const closing = attempt(() => model.close());
  await settledWithin(CLOSE_TIMEOUT_MS, lost, closing);
  // amqplib only half-closes the socket: with a peer that does not answer it would keep the process alive.
  (model.connection as unknown as { stream: Duplex }).stream.destroy();
}

/** The default of most servers is a minute, which is long for a dead peer; a heartbeat in the URL stands. */
function withHeartbeat(url: string, seconds: number): string {
  const withDefault = new URL(url);
  if (!withDefault.searchParams.has('heartbeat')) {
    withDefault.searchParams.set('heartbeat', String(seconds));
  }
  return withDefault.href;
}
