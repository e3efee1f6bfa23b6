import { type Client, createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { defineWorkflow } from '../../src/sdk/index.ts';
import { startService, type Service } from '../support/service.ts';

const pausing = defineWorkflow({
  name: 'pausing',
  run: async ({ step, waitForEvent }) => {
    const first = await step('first', () => 1);
    const signal = await waitForEvent('go', { key: 'k' });
    return { first, payload: signal?.payload ?? null };
  },
});

const gate = () => {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), opened };
};
const [watched, shown] = [gate(), gate()];
const slow = defineWorkflow({
  name: 'slow',
  run: async ({ progress, step }) => {
    return step('wait', async () => {
      await watched.opened;
      progress(40, 'nearly half');
      await shown.opened;
      return 1;
    });
  },
});

let service: Service;
beforeAll(async () => {
  service = await startService({ workflows: [pausing, slow] });
});
afterAll(async () => {
  await service.stop();
});

const wsUrl = () => `${service.api.replace('http', 'ws')}/graphql`;

const clients: Client[] = [];
afterAll(async () => {
  for (const each of clients) await each.dispose();
});

function client(): Client {
  const made = createClient({ url: wsUrl(), webSocketImpl: WebSocket, retryAttempts: 0 });
  clients.push(made);
  return made;
}

const subscribe = <T>(query: string, variables: Record<string, unknown> = {}) =>
  client().iterate<T>({ query, variables });

type Job = {
  id: string;
  status: string;
  version: number;
  result: unknown;
  waitingFor: { event: string } | null;
};
const JOB = 'id status version result waitingFor { event }';

const requestJob = async () => {
  const { requestJob: payload } = await service.query<{
    requestJob: { job: Job; position: string; errors: unknown[] };
  }>(
    `mutation { requestJob(input: { workflow: "pausing", repository: "o/r" }) {
      job { ${JOB} } position errors { code } } }`,
  );
  expect(payload.errors).toEqual([]);
  return payload;
};

const sendGo = (payload: unknown) =>
  service.query<{ sendSignal: { resumed: string[]; stored: boolean } }>(
    'mutation ($payload: JSON) { sendSignal(event: "go", key: "k", payload: $payload) { resumed stored errors { code } } }',
    { payload },
  );

/** The job's messages until it ends; sends the signal when it waits. */
async function followToTheEnd(id: string): Promise<Job[]> {
  const seen: Job[] = [];
  for await (const { data } of subscribe<{ jobUpdated: Job }>(
    `subscription ($id: ID!) { jobUpdated(id: $id) { ${JOB} } }`,
    { id },
  )) {
    if (!data) continue;
    seen.push(data.jobUpdated);
    if (data.jobUpdated.status === 'PAUSED' && !seen.slice(0, -1).some(isPaused)) {
      await sendGo({ n: 42 });
    }
  }
  return seen;
}

const isPaused = ({ status }: Job) => status === 'PAUSED';

const distinct = (values: readonly string[]) =>
  values.filter((value, index) => value !== values[index - 1]);

describe('jobUpdated', () => {
  test('gives the job as it is, then after each event in order, and ends with it', async () => {
    const { job } = await requestJob();
    const seen = await followToTheEnd(job.id);
    const versions = seen.map(({ version }) => version);
    const first = versions[0] ?? 0;
    expect(versions).toEqual(versions.map((_, index) => first + index));
    expect(distinct(seen.map(({ status }) => status)).slice(-4)).toEqual(
      expect.arrayContaining(['PAUSED', 'RUNNING', 'COMPLETED']),
    );
    expect(seen.find(isPaused)?.waitingFor).toEqual({ event: 'go' });
    expect(seen.at(-1)).toMatchObject({
      status: 'COMPLETED',
      result: { first: 1, payload: { n: 42 } },
    });
  });

  test('of a job that does not exist says so', async () => {
    const stream = all(subscribe('subscription { jobUpdated(id: "nothing") { id } }'));
    await expect(stream).rejects.toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
  });

  test('of a finished job gives it once and ends', async () => {
    const { job } = await requestJob();
    await followToTheEnd(job.id);
    const again = await all(subscribe(`subscription { jobUpdated(id: "${job.id}") { status } }`));
    expect(again).toEqual([{ data: { jobUpdated: { status: 'COMPLETED' } } }]);
  });
});

describe('jobEvents', () => {
  test('is the log from after a position, gapless, first what was missed and then what comes', async () => {
    const { job } = await requestJob();
    await followToTheEnd(job.id);
    const head = Number(await service.core.store.head());
    const next = await requestJob();
    const positions: number[] = [];
    for await (const { data } of subscribe<{ jobEvents: { position: string } }>(
      'subscription { jobEvents(after: "0") { position } }',
    )) {
      positions.push(Number(data?.jobEvents.position));
      if (positions.length === head + 1) void followToTheEnd(next.job.id);
      if (positions.length === head + 5) break;
    }
    expect(positions).toEqual(positions.map((_, index) => index + 1));
  });

  test('can be of one job and of some types', async () => {
    const { job } = await requestJob();
    await followToTheEnd(job.id);
    const types: string[] = [];
    for await (const { data } of subscribe<{ jobEvents: { type: string; jobId: string } }>(
      'subscription ($id: ID!) { jobEvents(after: "0", jobId: $id, types: ["JobRequested", "JobCompleted"]) { type jobId } }',
      { id: job.id },
    )) {
      expect(data?.jobEvents.jobId).toBe(job.id);
      types.push(data?.jobEvents.type ?? '');
      if (types.length === 2) break;
    }
    expect(types).toEqual(['JobRequested', 'JobCompleted']);
  });
});

test('jobsUpdated gives every job that the filter lets through, and no other', async () => {
  const updates = subscribe<{ jobsUpdated: Job }>(
    `subscription { jobsUpdated(filter: { workflow: ["pausing"], status: [COMPLETED] }) { ${JOB} } }`,
  );
  const next = updates.next();
  const { job } = await requestJob();
  await followToTheEnd(job.id);
  const { value } = await next;
  expect(value?.data?.jobsUpdated).toMatchObject({ id: job.id, status: 'COMPLETED' });
  await updates.return?.();
});

test('jobEvents over server-sent events', async () => {
  const response = await fetch(`${service.api}/graphql/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ query: 'subscription { jobEvents(after: "0") { position type } }' }),
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"position":"2"')) text += (await reader.read()).value ?? '';
  await reader.cancel();
  expect(text).toContain('event: next');
  expect(text).toContain('"position":"1"');
});

describe('server-sent events', () => {
  async function* messages(headers: Readonly<Record<string, string>>, query: string) {
    const response = await fetch(`${service.api}/graphql/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...headers },
      body: JSON.stringify({ query }),
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        text += value;
        const parts = text.split('\n\n');
        text = parts.pop() ?? '';
        yield* parts.filter((part) => part.includes('event: next'));
      }
    } finally {
      await reader.cancel();
    }
  }

  const QUERY = 'subscription { jobEvents(after: "0") { position } }';
  const positionsIn = async (headers: Readonly<Record<string, string>>, count: number) => {
    const seen: (string | undefined)[][] = [];
    for await (const message of messages(headers, QUERY)) {
      seen.push([/^id: (.*)$/m.exec(message)?.[1], /"position":"(\d+)"/.exec(message)?.[1]]);
      if (seen.length === count) break;
    }
    return seen;
  };

  test('bear the position as their id, and go on after the last one that a reader had', async () => {
    expect(await positionsIn({}, 3)).toEqual([
      ['1', '1'],
      ['2', '2'],
      ['3', '3'],
    ]);
    expect(await positionsIn({ 'last-event-id': '2' }, 2)).toEqual([
      ['3', '3'],
      ['4', '4'],
    ]);
  });

  test('refuse an id that they have not given', async () => {
    const [message] = await all(messages({ 'last-event-id': 'x' }, QUERY));
    expect(message).toContain('BAD_USER_INPUT');
  });
});

test('whoever asks for the progress of a job is told when it changes, without an event', async () => {
  const { job } = await service
    .query<{ requestJob: { job: { id: string } } }>(
      'mutation { requestJob(input: { workflow: "slow", repository: "o/r" }) { job { id } } }',
    )
    .then(({ requestJob: payload }) => payload);
  const seen: { version: number; progress: { percent: number; message: string } | null }[] = [];
  for await (const { data } of subscribe<{ jobUpdated: (typeof seen)[number] }>(
    'subscription ($id: ID!) { jobUpdated(id: $id) { version progress { percent message } } }',
    { id: job.id },
  )) {
    if (!data) continue;
    seen.push(data.jobUpdated);
    if (data.jobUpdated.version === 2) watched.open();
    if (data.jobUpdated.progress?.percent === 40) shown.open();
  }
  const told = seen.find(({ progress }) => progress?.percent === 40);
  expect(told).toEqual({ version: 2, progress: { percent: 40, message: 'nearly half' } });
  expect(seen.filter(({ version }) => version === 2).length).toBeGreaterThan(1);
  const events = await service.core.store.readStream(job.id);
  expect(JSON.stringify(events.map(({ data }) => data))).not.toContain('nearly half');
});

describe('the WebSocket protocol', () => {
  const open = (protocols: string | string[] = 'graphql-transport-ws', path = '/graphql') =>
    new WebSocket(`${service.api.replace('http', 'ws')}${path}`, protocols);

  const closeOf = (socket: WebSocket) =>
    new Promise<number>((resolve) => {
      socket.on('error', () => undefined);
      socket.once('close', resolve);
    });

  const opened = async (socket: WebSocket) => {
    await new Promise((resolve) => socket.once('open', resolve));
    return socket;
  };

  const message = (socket: WebSocket) =>
    new Promise<{ type: string; payload?: unknown }>((resolve) =>
      socket.once('message', (data: Buffer) => {
        resolve(JSON.parse(data.toString()) as { type: string });
      }),
    );

  const acknowledged = async () => {
    const socket = await opened(open());
    const answer = message(socket);
    socket.send('{"type":"connection_init"}');
    expect(await answer).toEqual({ type: 'connection_ack' });
    return socket;
  };

  test('a subscribe before the acknowledgement closes with 4401', async () => {
    const socket = await opened(open());
    const code = closeOf(socket);
    socket.send('{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}');
    expect(await code).toBe(4401);
  });

  test('no subprotocol closes with 4406', async () => {
    expect(await closeOf(open([]))).toBe(4406);
  });

  test('no init in time closes with 4408', async () => {
    expect(await closeOf(await opened(open()))).toBe(4408);
  });

  test('a second init closes with 4429', async () => {
    const socket = await acknowledged();
    const code = closeOf(socket);
    socket.send('{"type":"connection_init"}');
    expect(await code).toBe(4429);
  });

  test('garbage closes with 4400', async () => {
    const socket = await opened(open());
    const code = closeOf(socket);
    socket.send('garbage');
    expect(await code).toBe(4400);
  });

  test('an id that is in use closes with 4409', async () => {
    const socket = await acknowledged();
    const code = closeOf(socket);
    const subscription =
      '{"type":"subscribe","id":"1","payload":{"query":"subscription { jobEvents { id } }"}}';
    socket.send(subscription);
    socket.send(subscription);
    expect(await code).toBe(4409);
  });

  test('a ping gets a pong', async () => {
    const socket = await acknowledged();
    const answer = message(socket);
    socket.send('{"type":"ping"}');
    expect(await answer).toMatchObject({ type: 'pong' });
    socket.close();
  });

  test('a wrong operation gets an error and no complete, over the same checks as HTTP', async () => {
    const socket = await acknowledged();
    const answer = message(socket);
    socket.send(
      '{"type":"subscribe","id":"1","payload":{"query":"{ jobs(first: 100) { nodes { history(first: 100) { nodes { id } } } } }"}}',
    );
    expect(await answer).toMatchObject({
      type: 'error',
      id: '1',
      payload: [{ extensions: { code: 'COST_LIMIT' } }],
    });
    socket.close();
  });

  test('a frame over 1 MiB closes with 1009', async () => {
    const socket = await opened(open());
    const code = closeOf(socket);
    socket.send('x'.repeat(1024 * 1024 + 1));
    expect(await code).toBe(1009);
  });

  test('the eleventh connection of an address closes with 1013', async () => {
    const sockets = [];
    const codes: Promise<number>[] = [];
    for (let count = 0; count < 20; count++) {
      const socket = await opened(open());
      sockets.push(socket);
      codes.push(closeOf(socket));
    }
    expect(await Promise.race(codes)).toBe(1013);
    for (const socket of sockets) socket.terminate();
    await Promise.all(codes);
  });

  test('more than 100 subscriptions on a connection close it with 1013', async () => {
    const socket = await acknowledged();
    const code = closeOf(socket);
    for (let id = 0; id <= 101; id++) {
      socket.send(
        `{"type":"subscribe","id":"${String(id)}","payload":{"query":"subscription { jobEvents { id } }"}}`,
      );
    }
    expect(await code).toBe(1013);
  });

  test('a page of another origin is refused, and so is another path', async () => {
    const foreign = new WebSocket(wsUrl(), 'graphql-transport-ws', {
      origin: 'http://evil.example',
    });
    const status = (socket: WebSocket) =>
      new Promise<number | undefined>((resolve) => {
        socket.on('error', () => undefined);
        socket.once('unexpected-response', (_, response) => {
          resolve(response.statusCode);
          response.destroy();
        });
      });
    expect(await status(foreign)).toBe(403);
    expect(await status(open('graphql-transport-ws', '/elsewhere'))).toBe(404);
  });

  test('a reset during an upgrade to another path ends nothing', async () => {
    const { port, hostname } = new URL(service.api);
    const { connect } = await import('node:net');
    for (let count = 0; count < 20; count++) {
      const socket = connect(Number(port), hostname);
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.write(
        'GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      );
      socket.resetAndDestroy();
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(await service.query('{ __typename }')).toEqual({ __typename: 'Query' });
  });
});

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of stream) values.push(value);
  return values;
}
