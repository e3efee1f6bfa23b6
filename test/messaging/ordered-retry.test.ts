import { expect, onTestFinished, test } from 'vitest';

import { RabbitmqTransport } from '../../src/messaging/rabbitmq-transport.ts';
import { QUEUES, spool } from '../../src/messaging/topology.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createVhost } from '../support/rabbitmq.ts';
import { Gate, Inbox } from './inbox.ts';

const PATIENCE_MS = 60_000;

test(
  'an ordered queue gives what its consumer could not take to the next one in the same order',
  async () => {
    const vhost = await createVhost();
    const logger = createLogger('fatal', 'test');
    const transport = new RabbitmqTransport({ url: vhost.url, name: 'test', logger });
    onTestFinished(async () => {
      await transport.close();
      await vhost.drop();
    });
    await transport.start();
    const sent = Array.from({ length: 20 }, (_, index) => index);
    for (const body of sent) {
      await transport.publish({ ...spool, messageId: String(body), body, mandatory: true });
    }
    const ending = new Gate();
    const first = new Inbox(transport, QUEUES.spool, {
      patienceMs: PATIENCE_MS,
      prefetch: 4,
      handle: async ({ body }) => {
        await ending.opened;
        return body === 0 ? 'ack' : 'retry';
      },
    });
    await first.has(4);
    const ended = first.end();
    ending.open();
    await ended;
    const next = new Inbox(transport, QUEUES.spool, { patienceMs: PATIENCE_MS, prefetch: 4 });
    await next.has(19);
    await next.end();
    expect(next.bodies).toEqual(sent.slice(1));
  },
  PATIENCE_MS,
);
