import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';

import { afterEach, describe, expect, test } from 'vitest';

import { createHttpServer } from '../../src/ingress/http-server.ts';
import {
  SECRET,
  type TestIngress,
  githubHeaders,
  plan,
  planned,
  post,
  pullRequestBody,
  source,
  startIngress,
} from './support/ingress.ts';
import { RawConnection, rawRequest } from './support/raw-http.ts';
import { workerFile } from './support/worker-file.ts';

let ingress: TestIngress;
afterEach(() => ingress.close());

const head = (
  headers: Readonly<Record<string, string>>,
  line = 'POST /webhooks/github HTTP/1.1',
): string =>
  `${line}\r\nhost: localhost\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

const whole = (body: string, change = {}): string =>
  head({ ...githubHeaders(body, change), 'content-length': String(Buffer.byteLength(body)) }) +
  body;

describe('an answer', () => {
  test('to a new delivery has its jobs', async () => {
    ingress = await startIngress();
    const id = randomUUID();
    const { status, body, headers } = await post(ingress, pullRequestBody(), {
      'x-github-delivery': id,
    });

    expect(status).toBe(202);
    expect(headers.get('content-type')).toBe('application/json');
    expect(body).toEqual({
      deliveryId: id,
      duplicate: false,
      jobs: [{ id: expect.any(String), workflow: 'review' }],
    });
    expect(ingress.recorded.last).toMatchObject({
      source: 'github',
      provider: 'github',
      deliveryId: id,
      key: id,
      sameBodyIsDuplicate: true,
      event: 'pull_request',
      action: 'opened',
      outcome: 'accepted',
      reason: null,
      triggers: [{ provider: 'github', source: 'github', deliveryId: id }],
    });
  });

  test('to a delivery that starts no job says why, and it is stored', async () => {
    ingress = await startIngress();
    const { status, body } = await post(ingress, pullRequestBody({}, { action: 'labeled' }));

    expect(status).toBe(200);
    expect(body).toMatchObject({
      duplicate: false,
      jobs: [],
      reason: 'No workflow starts on pull_request labeled',
    });
    expect(ingress.recorded.last).toMatchObject({
      outcome: 'ignored',
      reason: body['reason'],
      jobs: [],
    });
  });

  test('to the same body under a new id is the first one, as GitHub signs no id', async () => {
    ingress = await startIngress();
    const body = pullRequestBody();
    const first = await post(ingress, body);
    const second = await post(ingress, body);

    expect(second.status).toBe(200);
    expect(second.body).toMatchObject({ duplicate: true, jobs: first.body['jobs'] });
    expect(ingress.recorded.deliveries).toHaveLength(1);
  });

  test('to a delivery that went into the spool says so', async () => {
    const jobs = [{ id: 'job-1', workflow: 'review' }];
    ingress = await startIngress({ store: () => Promise.resolve({ status: 'spooled', jobs }) });
    const { status, body } = await post(ingress, pullRequestBody());

    expect(status).toBe(202);
    expect(body).toMatchObject({ duplicate: false, spooled: true, jobs });
  });

  test('to a refused delivery says what, and what to do, and nothing more', async () => {
    ingress = await startIngress();
    const { body, headers } = await post(ingress, pullRequestBody(), {
      'x-hub-signature-256': 'sha256=x',
    });

    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(body).toEqual({
      type: 'urn:jobledger:problem:not-authentic',
      title: 'The delivery is not authentic',
      status: 401,
      detail:
        'The delivery is not signed with a secret of this source: check that both sides have the same one',
    });
  });

  test.each([
    ['push', pullRequestBody()],
    ['pull_request_review', pullRequestBody()],
    ['issue_comment', pullRequestBody()],
    ['ping', '{"action":"opened"}'],
    ['pull_request', JSON.stringify({ ref: 'refs/heads/main', before: '0', after: '1' })],
    ['Pull Request', pullRequestBody()],
    ['', pullRequestBody()],
    [null, pullRequestBody()],
  ])('to the header %j over a body of another event is 400', async (event, body) => {
    ingress = await startIngress();
    expect((await post(ingress, body, { 'x-github-event': event })).status).toBe(400);
    expect(ingress.recorded.deliveries).toHaveLength(0);
  });
});

describe('a fault of ours', () => {
  test('in a workflow makes a logged delivery, not an error', async () => {
    ingress = await startIngress({
      plan: () => {
        throw new Error('the matcher broke');
      },
    });
    const { status, body } = await post(ingress, pullRequestBody());

    expect(status).toBe(200);
    expect(body).toMatchObject({ jobs: [], reason: expect.stringContaining('fault of Jobledger') });
    expect(ingress.recorded.last.outcome).toBe('unmappable');
    expect(ingress.log.join('')).toContain('the matcher broke');
  });

  test('that takes the thread for large bodies makes a logged delivery, and the next is read', async () => {
    ingress = await startIngress({ workerUrl: new URL('file:///nowhere/worker.js') });
    const large = pullRequestBody({}, { padding: 'x'.repeat(2_000_000) });

    expect((await post(ingress, large)).status).toBe(200);
    expect(ingress.recorded.last.outcome).toBe('unmappable');
    expect((await post(ingress, pullRequestBody())).status).toBe(202);
  });
});

describe('a connection', () => {
  test('stays open after answers to whole requests, right or wrong', async () => {
    ingress = await startIngress();
    const connection = await RawConnection.open(ingress.port);
    const statuses: number[] = [];
    for (const change of [
      {},
      { 'x-hub-signature-256': 'no' },
      { 'content-type': 'text/plain' },
      {},
    ]) {
      await connection.send(whole(pullRequestBody(), change));
      statuses.push((await connection.answer()).status);
    }
    connection.close();

    expect(statuses).toEqual([202, 401, 415, 202]);
  });

  test('with several requests at once answers them in order', async () => {
    ingress = await startIngress();
    const connection = await RawConnection.open(ingress.port);
    await connection.send(whole(pullRequestBody()) + whole('{}') + whole(pullRequestBody()));
    const statuses = [
      await connection.answer(),
      await connection.answer(),
      await connection.answer(),
    ];
    connection.close();

    expect(statuses.map(({ status }) => status)).toEqual([202, 400, 202]);
  });

  test('ends after a refusal of a body that has not come, and the refusal arrives', async () => {
    ingress = await startIngress();
    const connection = await RawConnection.open(ingress.port);
    await connection.send(head({ ...githubHeaders(''), 'content-length': '30000000' }));
    const answer = await connection.answer();
    for (let n = 0; n < 20; n += 1) await connection.send(Buffer.alloc(65_536));
    await connection.closed();

    expect(answer).toMatchObject({ status: 413, headers: { connection: 'close' } });
  });

  test('that asks leave to send gets it only where the body is wanted', async () => {
    ingress = await startIngress();
    const body = pullRequestBody();
    const headers = {
      ...githubHeaders(body),
      'content-length': String(body.length),
      expect: '100-continue',
    };
    const wanted = await RawConnection.open(ingress.port);
    await wanted.send(head(headers));
    const leave = await wanted.answer();
    await wanted.send(body);
    const answer = await wanted.answer();
    wanted.close();
    const unwanted = await rawRequest(
      ingress.port,
      head({ ...headers, 'content-length': '30000000' }),
    );

    expect([leave.status, answer.status, unwanted.status]).toEqual([100, 202, 413]);
  });

  test.each([
    ['a bad chunk', head({ ...githubHeaders(''), 'transfer-encoding': 'chunked' }) + 'zz\r\n', 400],
    [
      'two lengths',
      'POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
      400,
    ],
    ['a length and chunks', head({ 'content-length': '5', 'transfer-encoding': 'chunked' }), 400],
    ['a NUL in a header', 'POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx: \u0000\r\n\r\n', 400],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000', 400],
    ['an unknown expectation', whole(pullRequestBody(), { expect: 'the-impossible' }), 202],
    ['an unknown method', head({}, 'PURGE /webhooks/github HTTP/1.1'), 405],
    [
      'a coded transfer',
      head({ ...githubHeaders(''), 'transfer-encoding': 'gzip, chunked' }) + '0\r\n\r\n',
      415,
    ],
    ['a broken path', head({}, 'POST /webhooks/%zz HTTP/1.1'), 404],
    ['a path that climbs', head({}, 'POST /webhooks/../webhooks/github HTTP/1.1'), 404],
  ])('that sends %s is answered', async (_, bytes, status) => {
    ingress = await startIngress();
    const answer = await rawRequest(ingress.port, bytes);

    expect(answer.status).toBe(status);
    if (status >= 400) {
      expect(answer.headers['content-type']).toBe('application/problem+json');
      expect(JSON.parse(answer.body)).toMatchObject({ status });
    }
    expect((await post(ingress, pullRequestBody())).status).toBe(202);
  });

  test('that is cut in the middle of a body leaves nothing behind', async () => {
    ingress = await startIngress();
    const connection = await RawConnection.open(ingress.port);
    const body = pullRequestBody();
    await connection.send(whole(body).slice(0, -10));
    const gone = new Promise<void>((resolve) => {
      const count = ingress.metrics.countDelivery.bind(ingress.metrics);
      ingress.metrics.countDelivery = (name, outcome) => {
        count(name, outcome);
        resolve();
      };
    });
    connection.close();
    await gone;

    expect(ingress.metrics.counted).toEqual(['github sender-gone']);
    expect(ingress.recorded.deliveries).toHaveLength(0);
  });
});

test('headers have a shorter deadline than whole requests', async () => {
  ingress = await startIngress();
  const limits = { headersTimeoutMs: 10_000, requestTimeoutMs: 20_000 };
  const { server } = createHttpServer(limits, () => Promise.resolve());

  expect(server).toMatchObject({ headersTimeout: 10_000, requestTimeout: 20_000 });
});

describe('a stop', () => {
  test('with a hundred requests in flight answers each, and each 202 is stored', async () => {
    ingress = await startIngress();
    let release = (): void => undefined;
    let waiting = 0;
    const allWait = new Promise<void>((resolve) => {
      const released = new Promise<void>((go) => {
        release = go;
      });
      ingress.recorded.before = () => {
        waiting += 1;
        if (waiting === 100) resolve();
        return released;
      };
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 100 });
    const answers = Array.from({ length: 100 }, () => postWith(agent, pullRequestBody()));
    await allWait;
    const closed = ingress.close();
    release();
    const statuses = await Promise.all(answers);
    await closed;
    agent.destroy();

    expect(new Set(statuses)).toEqual(new Set([202]));
    expect(ingress.recorded.deliveries).toHaveLength(100);
  });

  test('waits for a large body that is being read', async () => {
    const worker = await workerFile();
    ingress = await startIngress({ workerUrl: worker.url });
    const accepted = new Promise<void>((resolve) => {
      ingress.recorded.before = () => {
        resolve();
        return Promise.resolve();
      };
    });
    const large = post(ingress, pullRequestBody({}, { padding: 'x'.repeat(20_000_000) }));
    await post(ingress, pullRequestBody());
    await accepted;
    await ingress.close();
    worker.remove();

    expect((await large).status).toBe(202);
  });

  const postWith = (agent: Agent, body: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = githubHeaders(body);
      httpRequest(
        `${ingress.url}/webhooks/github`,
        { agent, method: 'POST', headers },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      )
        .on('error', reject)
        .end(body);
    });
});

describe('a log', () => {
  test('has one line for each delivery, and one a second for refusals of one kind', async () => {
    ingress = await startIngress();
    for (let n = 0; n < 3; n += 1) {
      await post(ingress, pullRequestBody());
      await post(ingress, pullRequestBody(), { 'x-hub-signature-256': null });
      await post(ingress, '[]');
    }
    const lines = ingress.log.map((line) => JSON.parse(line) as { msg: string; outcome: string });

    expect(lines.filter(({ msg }) => msg === 'delivery')).toHaveLength(3);
    expect(lines.filter(({ msg }) => msg === 'delivery refused')).toMatchObject([
      { source: 'github', outcome: 'not-authentic', status: 401 },
      { source: 'github', outcome: 'malformed', status: 400 },
    ]);
  });
});

describe('a secret', () => {
  test('is in no log, metric, answer or stored header', async () => {
    ingress = await startIngress({ sources: [source(), source({ name: 'other' })] });
    const credentials = {
      authorization: `Basic ${SECRET}`,
      'x-gitlab-token': 'hush',
      cookie: 'hush',
      'x-custom': 'hush',
    };
    const answers = [
      await post(
        ingress,
        pullRequestBody(),
        credentialsOf(credentials),
        '/webhooks/github?secret=hush',
      ),
      await post(ingress, '{}', {
        ...credentialsOf(credentials),
        'x-hub-signature-256': 'sha256=hush',
      }),
      await post(ingress, '{"hush":', {}),
    ];
    const said = JSON.stringify([
      answers.map(({ body }) => body),
      ingress.log,
      ingress.metrics.counted,
      ingress.recorded.last.headers,
    ]);

    expect(said).not.toContain('hush');
    expect(said).not.toContain('cret to everybody');
    expect(ingress.recorded.last.headers).toMatchObject({
      'x-github-event': 'pull_request',
      'x-hub-signature-256': '[redacted]',
      'x-custom': '[redacted]',
    });
  });

  const credentialsOf = (headers: Record<string, string>): Record<string, string> =>
    Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, Buffer.from(value).toString('latin1')]),
    );
});

describe('a clone URL of this machine', () => {
  test('is kept only in the folders that are named', async () => {
    ingress = await startIngress({ localClones: ['file:///srv/sample/'] });
    const cloneUrls = [
      'file:///srv/sample/app.git',
      'file:///srv/other.git',
      'https://u:p@github.com/acme/app.git',
    ];
    for (const clone_url of cloneUrls) {
      await post(
        ingress,
        pullRequestBody({}, { repository: { full_name: 'acme/app', clone_url } }),
      );
    }
    expect(
      ingress.recorded.deliveries.map(({ triggers }) => triggers[0]?.repository?.cloneUrl),
    ).toEqual(['file:///srv/sample/app.git', null, 'https://github.com/acme/app.git']);
  });
});

test('the outcomes of deliveries are counted, and the time they take', async () => {
  ingress = await startIngress({
    plan: (trigger) =>
      trigger.ref === 'two' ? [planned, { ...planned, workflow: 'scan' }] : plan(trigger),
  });
  const body = pullRequestBody({ head: { ref: 'two', sha: 'a'.repeat(40) } });
  expect((await post(ingress, body)).body['jobs']).toMatchObject([
    { workflow: 'review' },
    { workflow: 'scan' },
  ]);
  await post(ingress, body);
  await post(ingress, pullRequestBody({ number: 'x' }));
  await post(ingress, '{}', { 'x-github-event': 'star' });
  await post(ingress, '{}', { 'x-hub-signature-256': null });
  await post(ingress, '{}', {}, '/webhooks/hostile"label');

  expect(ingress.metrics.counted).toEqual([
    'github accepted',
    'github duplicate',
    'github unmappable',
    'github ignored',
    'github not-authentic',
    'unknown unknown-path',
  ]);
  expect(ingress.metrics.seconds).toHaveLength(6);
});
