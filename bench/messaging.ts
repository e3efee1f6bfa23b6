import { InProcessTransport } from '../src/messaging/in-process-transport.ts';
import { RabbitmqTransport } from '../src/messaging/rabbitmq-transport.ts';
import { QUEUES, toQueue } from '../src/messaging/topology.ts';
import type { IncomingMessage, Transport } from '../src/messaging/transport.ts';
import { createLogger } from '../src/platform/logger.ts';

export type Measured = Readonly<{ what: string; value: number; unit: string }>;

const QUEUE = QUEUES.jobs;
const PUBLISHERS = 1_000;

/**
 * What a message costs from the call of `publish` to the handler, on a RabbitMQ virtual host that is this benchmark's
 * own, and in process: confirmed and acknowledged one by one.
 */
export async function benchMessaging({
  rabbitmqUrl,
  messages = 50_000,
}: Readonly<{ rabbitmqUrl: string; messages?: number }>): Promise<readonly Measured[]> {
  const logger = createLogger('warn', 'bench');
  const rabbitmq = new RabbitmqTransport({ url: rabbitmqUrl, name: 'bench', logger });
  await rabbitmq.start();
  const inProcess = new InProcessTransport({ logger });
  try {
    return [
      ...(await measure('RabbitMQ', rabbitmq, messages)),
      ...(await measure('in process', inProcess, messages)),
    ];
  } finally {
    await Promise.all([rabbitmq.close(), inProcess.close()]);
  }
}

async function measure(
  name: string,
  transport: Transport,
  messages: number,
): Promise<readonly Measured[]> {
  const consumer = new CountingConsumer(transport);
  try {
    await throughput(transport, consumer, Math.ceil(messages / 5));
    const confirmed = await throughput(transport, consumer, messages);
    const latencies = await idleLatencies(transport, consumer, 500);
    return [
      { what: `${name}: confirmed`, value: confirmed.publishedPerSecond, unit: 'messages/s' },
      {
        what: `${name}: confirmed, consumed and acknowledged`,
        value: confirmed.consumedPerSecond,
        unit: 'messages/s',
      },
      {
        what: `${name}: idle, publish to handler, p50`,
        value: quantile(latencies, 0.5),
        unit: 'ms',
      },
      {
        what: `${name}: idle, publish to handler, p99`,
        value: quantile(latencies, 0.99),
        unit: 'ms',
      },
    ];
  } finally {
    await consumer.end();
  }
}

/** By a thousand publishers, each of which waits for its confirm. */
async function throughput(
  transport: Transport,
  consumer: CountingConsumer,
  messages: number,
): Promise<Readonly<{ publishedPerSecond: number; consumedPerSecond: number }>> {
  const startedAt = performance.now();
  const consumed = consumer.after(messages);
  const body = { jobId: '0192f0c1-0000-7000-8000-000000000000', position: '123456', version: 1 };
  let next = 0;
  const publishers = Array.from({ length: PUBLISHERS }, async () => {
    while (next < messages) {
      next += 1;
      const messageId = String(next);
      await transport.publish({ ...toQueue(QUEUE), messageId, body, mandatory: true });
    }
  });
  await Promise.all(publishers);
  const published = performance.now() - startedAt;
  await consumed;
  const all = performance.now() - startedAt;
  return {
    publishedPerSecond: Math.round((messages / published) * 1_000),
    consumedPerSecond: Math.round((messages / all) * 1_000),
  };
}

async function idleLatencies(
  transport: Transport,
  consumer: CountingConsumer,
  count: number,
): Promise<readonly number[]> {
  const latencies: number[] = [];
  for (let index = 0; index < count; index++) {
    const consumed = consumer.after(1);
    const startedAt = performance.now();
    const published = transport.publish({ ...toQueue(QUEUE), messageId: String(index), body: 1 });
    await consumed;
    latencies.push(performance.now() - startedAt);
    await published;
  }
  return latencies;
}

/** Resolves promises by the number of messages it has seen. */
class CountingConsumer {
  private readonly stopping = new AbortController();
  private readonly consuming: Promise<void>;
  private left = 0;
  private done: () => void = () => undefined;

  constructor(transport: Transport) {
    const handle = async (_message: IncomingMessage): Promise<'ack'> => {
      this.left -= 1;
      if (this.left === 0) this.done();
      return 'ack';
    };
    this.consuming = transport.consume(
      { queue: QUEUE, prefetch: 200, handle },
      this.stopping.signal,
    );
  }

  after(messages: number): Promise<void> {
    this.left = messages;
    return new Promise((resolve) => {
      this.done = resolve;
    });
  }

  async end(): Promise<void> {
    this.stopping.abort();
    await this.consuming;
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
