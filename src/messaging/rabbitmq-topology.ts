import type { Channel, ChannelModel } from 'amqplib';

import { openChannel } from './rabbitmq-channel.ts';
import type { QueueDefinition, Topology } from './topology.ts';

const PRECONDITION_FAILED = 406;

/** The server has one of our queues or exchanges with other properties; declaring cannot change them. */
export class TopologyMismatch extends Error {
  override readonly name = 'TopologyMismatch';
}

/** Declares what is missing. What is there already stays as it is, and must be what we would declare. */
export async function declareTopology(model: ChannelModel, topology: Topology): Promise<void> {
  const { channel, close } = await openChannel(() => model.createChannel());
  try {
    for (const { name, type } of topology.exchanges) {
      await declare(`exchange "${name}"`, channel.assertExchange(name, type, { durable: true }));
    }
    for (const queue of topology.queues) await declareQueue(channel, queue, topology);
  } finally {
    await close();
  }
}

async function declareQueue(
  channel: Channel,
  queue: QueueDefinition,
  topology: Topology,
): Promise<void> {
  const options = { durable: true, arguments: queueArguments(queue, topology) };
  await declare(`queue "${queue.name}"`, channel.assertQueue(queue.name, options));
  for (const { exchange, routingKey } of queue.bindings) {
    await channel.bindQueue(queue.name, exchange, routingKey);
  }
}

/** These are fixed when the queue is created: another value here needs a queue of another name, or a migration by hand. */
function queueArguments(
  { name, deliveryLimit, singleActiveConsumer }: QueueDefinition,
  { deadLetters }: Topology,
): Readonly<Record<string, unknown>> {
  const deadLettering = {
    'x-dead-letter-exchange': deadLetters.exchange,
    'x-dead-letter-strategy': 'at-least-once',
    // At-least-once dead-lettering works with no other overflow behaviour.
    'x-overflow': 'reject-publish',
  };
  return {
    'x-queue-type': 'quorum',
    'x-delivery-limit': deliveryLimit,
    ...(name === deadLetters.queue ? {} : deadLettering),
    ...(singleActiveConsumer === true ? { 'x-single-active-consumer': true } : {}),
  };
}

async function declare(what: string, declaration: Promise<unknown>): Promise<void> {
  try {
    await declaration;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === PRECONDITION_FAILED))
      throw error;
    throw new TopologyMismatch(
      `RabbitMQ already has the ${what} with other properties than Jobledger declares: ` +
        `let it run empty and delete it, or point RABBITMQ_URL at another virtual host. RabbitMQ says: ${error.message}`,
      { cause: error },
    );
  }
}
