import { afterEach, expect, test, vi } from 'vitest';

import { InProcessTransport } from '../../src/messaging/in-process-transport.ts';
import { QUEUES, TOPOLOGY, waitRequest } from '../../src/messaging/topology.ts';
import type { IncomingMessage } from '../../src/messaging/transport.ts';
import { type JsonValue, NonRetriable } from '../../src/sdk/index.ts';
import { AstConsumer, type AstRequest } from '../../src/workers/ast-consumer.ts';
import { eventually } from '../support/eventually.ts';
import { gate, silent } from './engine.ts';

type Analyse = (request: AstRequest, signal: AbortSignal) => Promise<JsonValue>;

const stop = new Set<() => Promise<void>>();
afterEach(async () => {
  await Promise.all([...stop].map((end) => end()));
  stop.clear();
});

/** An analyser at work, and what it answers. */
function analyser(analyse: Analyse, deliveryLimit = 100) {
  const queues = TOPOLOGY.queues.map((queue) => ({ ...queue, deliveryLimit }));
  const transport = new InProcessTransport({
    logger: silent,
    topology: { ...TOPOLOGY, queues },
  });
  const signals: IncomingMessage[] = [];
  const ending = new AbortController();
  const running = [
    new AstConsumer({ transport, analyse, logger: silent }).run(ending.signal),
    transport.consume(
      {
        queue: QUEUES.signals,
        prefetch: 10,
        handle: (message) => {
          signals.push(message);
          return Promise.resolve('ack');
        },
      },
      ending.signal,
    ),
  ];
  stop.add(async () => {
    ending.abort();
    await Promise.all(running);
    await transport.close();
  });
  const ask = (body: unknown, messageId = 'job-1:4'): Promise<void> =>
    transport.publish({ ...waitRequest('ast'), messageId, body });
  return { transport, signals, ask };
}

const request = { jobId: 'job-1', waitId: 'wait:ast.completed#0', files: ['a.ts'] };

test('answers a request with a signal for the job that asked', async () => {
  const analyse = vi.fn<Analyse>(async () => ({ findings: 2 }));
  const { signals, ask } = analyser(analyse);
  await ask(request);
  await eventually(() => {
    expect(signals).toHaveLength(1);
  });
  expect(analyse).toHaveBeenCalledWith(request, expect.any(AbortSignal));
  expect(signals[0]).toMatchObject({
    routingKey: 'signal.ast.completed',
    messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    body: {
      id: signals[0]?.messageId,
      event: 'ast.completed',
      key: 'job-1',
      payload: { findings: 2 },
    },
  });
});

test('the same request again has the same answer id, a request of a later pause another one', async () => {
  const { signals, ask } = analyser(async () => null);
  await ask(request);
  await ask(request);
  await ask(request, 'job-1:9');
  await eventually(() => {
    expect(signals).toHaveLength(3);
  });
  const [first, again, later] = signals.map(({ messageId }) => messageId);
  expect(again).toBe(first);
  expect(later).not.toBe(first);
});

test('tells the job of a failure that no repetition can mend', async () => {
  const { signals, ask } = analyser(async () => {
    throw new NonRetriable('The commit is gone');
  });
  await ask(request);
  await eventually(() => {
    expect(signals[0]?.body).toMatchObject({
      payload: { error: { message: 'The commit is gone', permanent: true } },
    });
  });
});

test('tries again after any other failure', async () => {
  let failures = 2;
  const { signals, ask } = analyser(async () => {
    if (failures-- > 0) throw new Error('disk full');
    return 'done';
  });
  await ask(request);
  await eventually(() => {
    expect(signals[0]?.body).toMatchObject({ payload: 'done' });
  });
});

test('what fails each time is dead in the end, with the reason', async () => {
  const { signals, ask, transport } = analyser(async () => {
    throw new Error('disk full');
  }, 1);
  await ask(request);
  await eventually(async () => {
    const dead = (await transport.queues()).find(({ name }) => name === QUEUES.dead);
    expect(dead?.ready).toBe(1);
  });
  expect(signals).toEqual([]);
});

test('what is no request is dead at once', async () => {
  const analyse = vi.fn<Analyse>();
  const { ask, transport } = analyser(analyse);
  await ask({ jobId: 1 });
  await eventually(async () => {
    const dead = (await transport.queues()).find(({ name }) => name === QUEUES.dead);
    expect(dead?.ready).toBe(1);
  });
  expect(analyse).not.toHaveBeenCalled();
});

test('an analysis hears that its worker stops', async () => {
  const heard = gate();
  const begun = gate();
  const { ask } = analyser(async (_, signal) => {
    signal.addEventListener('abort', () => {
      heard.open();
    });
    begun.open();
    await heard.opened;
    throw new Error('stopped');
  });
  await ask(request);
  await begun.opened;
  await Promise.all([...stop].map((end) => end()));
  await expect(heard.opened).resolves.toBeUndefined();
});
