import { createHmac } from 'node:crypto';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { WebhookSource } from '../../src/platform/webhook-sources.ts';
import {
  SECRET,
  type TestIngress,
  githubHeaders,
  planned,
  pullRequestBody,
  signature,
  source,
  startIngress,
} from './support/ingress.ts';
import { RawConnection, rawRequest } from './support/raw-http.ts';
import { type WorkerFile, workerFile } from './support/worker-file.ts';

// What comes over the wire, byte by byte: variations of what attackers, proxies and odd senders do.

let ingress: TestIngress;
let worker: WorkerFile;

beforeAll(async () => {
  worker = await workerFile();
  ingress = await startIngress({
    workerUrl: worker.url,
    plan: () => [planned],
    readDeadlineMs: 2000,
    sources: [
      source(),
      source({ name: 'a.b-c_d' }),
      ...HOSTS.map((provider) => source({ name: provider, provider })),
    ],
  });
});
afterAll(async () => {
  await ingress.close();
  worker.remove();
});
beforeEach(() => {
  ingress.recorded.deliveries.length = 0;
});

const HOSTS = [
  'gitlab',
  'bitbucket-cloud',
  'bitbucket-dc',
  'azure-repos',
  'gitea',
  'forgejo',
] as const;

type Lines = readonly string[];

const lines = (headers: Readonly<Record<string, string>>): Lines =>
  Object.entries(headers).map(([name, value]) => `${name}: ${value}`);

/** A request with exactly these header lines. */
function request(
  headers: Lines,
  body: string | Buffer,
  target = '/webhooks/github',
  version = 'HTTP/1.1',
): Buffer {
  const head = [`POST ${target} ${version}`, 'host: localhost', ...headers, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)]);
}

const length = (body: string | Buffer): string =>
  `content-length: ${String(Buffer.byteLength(body))}`;

async function statusOf(bytes: Buffer): Promise<number> {
  return (await rawRequest(ingress.port, bytes)).status;
}

const stored = (): number => ingress.recorded.deliveries.length;

/** A signed pull request, with other header lines. */
const signedLines = (body: string, change: Readonly<Record<string, string | null>> = {}): Lines => [
  ...lines(githubHeaders(body, change)),
  length(body),
];

describe('the address of a source', () => {
  test.each([
    ['/webhooks/github', 202],
    ['/webhooks/github?x=1&y=%zz', 202],
    ['/webhooks/github?', 202],
    ['http://hooks.example.com/webhooks/github', 202],
    ['/webhooks/a.b-c_d', 202],
    ['/webhooks/git%68ub', 404],
    ['/webhooks/%67ithub', 404],
    ['/webhooks/%', 404],
    ['/webhooks/%zz', 404],
    ['/webhooks/%00', 404],
    ['/webhooks/%ff%fe', 404],
    ['/webhooks/%2e%2e/github', 404],
    ['/webhooks/../webhooks/github', 404],
    ['/webhooks/github/', 404],
    ['//webhooks/github', 404],
    ['/WEBHOOKS/github', 404],
    ['/webhooks/GitHub', 404],
    ['/webhooks/', 404],
    ['/webhooks/github%2f..', 404],
    ['/webhooks/github;x', 404],
    ['/webhooks/__proto__', 404],
    ['/webhooks/toString', 404],
    [`/webhooks/${'x'.repeat(8000)}`, 404],
    ['*', 404],
    ['/', 404],
  ])('%s: %i', async (target, status) => {
    const body = pullRequestBody();
    expect(await statusOf(request(signedLines(body), body, target))).toBe(status);
  });
});

describe('headers', () => {
  const cases: readonly (readonly [string, (body: string) => Lines, number])[] = [
    [
      'in capitals',
      (body) =>
        signedLines(body).map((line) => line.replace(/^[^:]+/, (name) => name.toUpperCase())),
      202,
    ],
    [
      'with spaces around their values',
      (body) => signedLines(body).map((line) => line.replace(': ', ':   ') + '  '),
      202,
    ],
    [
      'with a signature twice',
      (body) => [...signedLines(body), `x-hub-signature-256: ${signature(body)}`],
      401,
    ],
    [
      'with a wrong signature first',
      (body) => [`x-hub-signature-256: sha256=${'0'.repeat(64)}`, ...signedLines(body)],
      401,
    ],
    [
      'with a wrong signature last',
      (body) => [...signedLines(body), 'X-Hub-Signature-256: sha256=0'],
      401,
    ],
    [
      'with SHA-1 beside SHA-256',
      (body) => [...signedLines(body), 'x-hub-signature: sha1=00'],
      202,
    ],
    ['with two events', (body) => [...signedLines(body), 'x-github-event: push'], 400],
    ['with two delivery ids', (body) => [...signedLines(body), 'x-github-delivery: other'], 400],
    ['with two content types', (body) => [...signedLines(body), 'content-type: text/plain'], 202],
    ['with two lengths', (body) => [...signedLines(body), 'content-length: 5'], 400],
    [
      'with a negative length',
      (body) => [...lines(githubHeaders(body)), 'content-length: -1'],
      400,
    ],
    [
      'with a length in hex',
      (body) => [...lines(githubHeaders(body)), 'content-length: 0x10'],
      400,
    ],
    [
      'with a length beyond numbers',
      (body) => [...lines(githubHeaders(body)), 'content-length: 99999999999999999999'],
      400,
    ],
    ['with length and chunks', (body) => [...signedLines(body), 'transfer-encoding: chunked'], 400],
    [
      'with chunks in another coding',
      (body) => [...lines(githubHeaders(body)), 'transfer-encoding: chunked, gzip'],
      400,
    ],
    ['with NUL', (body) => [...signedLines(body), 'x-a: a\u0000b'], 400],
    ['without a colon', (body) => [...signedLines(body), 'nonsense'], 400],
    ['with a space before the colon', (body) => [...signedLines(body), 'x-a : b'], 400],
    ['with bytes beyond ASCII', (body) => [...signedLines(body), 'x-a: \u00ff\u00fe'], 202],
    [
      'with names of all objects',
      (body) => [...signedLines(body), '__proto__: x', 'constructor: y'],
      202,
    ],
    [
      'with an event in capitals',
      (body) => signedLines(body, { 'x-github-event': 'PULL_REQUEST' }),
      200,
    ],
    ['without an event', (body) => signedLines(body, { 'x-github-event': null }), 400],
    ['with an empty event', (body) => signedLines(body, { 'x-github-event': '' }), 400],
    [
      'with a delivery id of SQL',
      (body) => signedLines(body, { 'x-github-delivery': `'; drop table x` }),
      400,
    ],
    [
      'with a delivery id of dots',
      (body) => signedLines(body, { 'x-github-delivery': '../../x' }),
      400,
    ],
    [
      'with the encoding "identity"',
      (body) => [...signedLines(body), 'content-encoding: identity'],
      202,
    ],
    ['with the encoding "GZIP"', (body) => [...signedLines(body), 'content-encoding: GZIP'], 415],
    ['with the encoding "zstd"', (body) => [...signedLines(body), 'content-encoding: zstd'], 415],
    [
      'with an expectation that is not known',
      (body) => [...signedLines(body), 'expect: miracles'],
      202,
    ],
    [
      'with an upgrade',
      (body) => [...signedLines(body), 'connection: upgrade', 'upgrade: websocket'],
      202,
    ],
    [
      'with a method to override',
      (body) => [...signedLines(body), 'x-http-method-override: DELETE'],
      202,
    ],
    [
      'with somebody else’s address',
      (body) => [...signedLines(body), 'x-forwarded-for: 10.0.0.1, <x>'],
      202,
    ],
  ];
  test.each(cases)('%s', async (_, headersOf, status) => {
    const body = pullRequestBody();
    expect(await statusOf(request(headersOf(body), body))).toBe(status);
    expect(stored()).toBe(status < 300 ? 1 : 0);
  });
});

describe('content types', () => {
  test.each([
    ['application/json', 202],
    ['application/json; charset=utf-8', 202],
    ['application/json;charset=UTF-8', 202],
    ['application/json; charset="utf-8"', 202],
    ['application/json; charset=utf8', 202],
    ['APPLICATION/JSON', 202],
    ['application/json; version=1', 202],
    ['application/json ; charset = utf-16', 415],
    ['application/json; charset=utf-8; charset=utf-16', 415],
    ['application/json; charset="utf-8', 415],
    ['application/json; charset=iso-8859-1', 415],
    ['application/json, text/plain', 415],
    ['application/json5', 415],
    ['application/vnd.github+json', 415],
    ['text/json', 415],
    ['multipart/form-data; boundary=application/json', 415],
    ['__proto__', 415],
    ['', 415],
  ])('%j: %i', async (type, status) => {
    const body = pullRequestBody();
    expect(await statusOf(request(signedLines(body, { 'content-type': type }), body))).toBe(status);
  });
});

describe('bodies', () => {
  const HOSTILE: readonly (readonly [string, () => string | Buffer, number])[] = [
    ['with a byte order mark', () => `\uFEFF${pullRequestBody()}`, 202],
    ['with white space around', () => `\r\n\t ${pullRequestBody()} \n`, 202],
    ['in UTF-16', () => Buffer.from(pullRequestBody(), 'utf16le'), 400],
    [
      'with an overlong encoding',
      () => Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]),
      400,
    ],
    [
      'with a surrogate in UTF-8',
      () =>
        Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]),
      400,
    ],
    [
      'with keys twice',
      () => pullRequestBody().replace('"number":2', '"number":9,"number":2'),
      202,
    ],
    [
      'with __proto__ on every level',
      () => pullRequestBody().replaceAll('{', '{"__proto__":{"isAdmin":true},'),
      202,
    ],
    [
      'with a prototype in place of a repository',
      () =>
        pullRequestBody({}, { repository: 0 }).replace(
          '"repository":0',
          '"repository":{"__proto__":{"full_name":"acme/app"}}',
        ),
      200,
    ],
    ['with NUL in keys', () => pullRequestBody({}, { 'a\u0000b': 1 }), 202],
    [
      'with NUL in a branch',
      () => pullRequestBody({ head: { ref: 'a\u0000', sha: 'a'.repeat(40), repo: null } }),
      200,
    ],
    [
      'with a number beyond 2^53',
      () => pullRequestBody({ number: 777 }).replaceAll('777', '9007199254740993'),
      200,
    ],
    ['with a number of 2.0', () => pullRequestBody().replaceAll('"number":2', '"number":2.0'), 202],
    ['with a number of 2e0', () => pullRequestBody().replaceAll('"number":2', '"number":2e0'), 202],
    [
      'with a number of a mebibyte',
      () => pullRequestBody({}, { n: 'N' }).replace('"N"', '9'.repeat(1_100_000)),
      202,
    ],
    ['with two values', () => `${pullRequestBody()}{}`, 400],
    ['with a comment', () => `${pullRequestBody()}// hi`, 400],
    ['with a trailing comma', () => pullRequestBody().replace(/\}$/, ',}'), 400],
    ['with single quotes', () => `{'a':1}`, 400],
    ['with NaN', () => '{"a":NaN}', 400],
    ['with a raw control character', () => '{"a":"\u0001"}', 400],
    ['of white space', () => ' \n ', 400],
    ['of a byte order mark', () => '\uFEFF', 400],
    ['of one NUL', () => '\0', 400],
    ['of 64 levels', () => pullRequestBody({}, { n: 'N' }).replace('"N"', nested(63)), 202],
    ['of 65 levels', () => pullRequestBody({}, { n: 'N' }).replace('"N"', nested(64)), 400],
    [
      'of 64 levels, and large',
      () => pullRequestBody({}, { n: 'N', pad: 'x'.repeat(300_000) }).replace('"N"', nested(63)),
      202,
    ],
    [
      'of 65 levels, and large',
      () => pullRequestBody({}, { n: 'N', pad: 'x'.repeat(300_000) }).replace('"N"', nested(64)),
      400,
    ],
    [
      'of 65 levels of objects',
      () =>
        pullRequestBody({}, { n: 'N' }).replace('"N"', '{"a":'.repeat(64) + '1' + '}'.repeat(64)),
      400,
    ],
    ['that only open', () => '['.repeat(500_000), 400],
    [
      'that open strings of brackets',
      () => pullRequestBody({ title: `${'['.repeat(300_000)}\\"` }),
      202,
    ],
    [
      'of 300,000 numbers',
      () => pullRequestBody({}, { n: 'N' }).replace('"N"', `[${'1,'.repeat(300_000)}1]`),
      400,
    ],
    [
      'of 300,000 keys',
      () => `{${Array.from({ length: 300_000 }, (_, n) => `"${String(n)}":1`).join(',')}}`,
      400,
    ],
  ];
  test.each(HOSTILE)('%s', async (_, bodyOf, status) => {
    const body = bodyOf();
    const bytes = request([...lines(githubHeaders(body)), length(body)], body);
    expect(await statusOf(bytes)).toBe(status);
    expect(stored()).toBe(status < 300 ? 1 : 0);
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('isAdmin');
    if (stored() === 1) expect(ingress.recorded.last.body.equals(Buffer.from(body))).toBe(true);
  });

  const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
  ])('in %s are not taken, declared or not', async (coding, encode) => {
    const body = encode(pullRequestBody());
    const honest = [...lines(githubHeaders(body)), length(body)];
    expect(await statusOf(request([...honest, `content-encoding: ${coding}`], body))).toBe(415);
    expect(await statusOf(request(honest, body))).toBe(400);
    expect(stored()).toBe(0);
  });

  test('that are longer than was said end their connection', async () => {
    const body = pullRequestBody();
    const connection = await RawConnection.open(ingress.port);
    await connection.send(request(signedLines(body), `${body}GARBAGE\r\n\r\n`));
    expect([202, 400]).toContain((await connection.answer()).status);
    await connection.closed();
  });

  test('that end before what was said are nothing', async () => {
    const body = pullRequestBody();
    const connection = await RawConnection.open(ingress.port);
    await connection.send(request(signedLines(body), body.slice(0, 50)));
    connection.socket.end();
    await connection.closed();
    expect(stored()).toBe(0);
    expect(await statusOf(request(signedLines(body), body))).toBe(202);
  });
});

describe('forms', () => {
  const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
  const encode = (text: string): string => new URLSearchParams({ payload: text }).toString();
  const cases: readonly (readonly [string, (json: string) => string, number])[] = [
    ['with the payload', (json) => encode(json), 202],
    ['with %20 for spaces', (json) => `payload=${encodeURIComponent(json)}`, 202],
    [
      'with small hex digits',
      (json) => encode(json).replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase()),
      202,
    ],
    ['with a field after it', (json) => `${encode(json)}&x=1`, 400],
    ['with a field before it', (json) => `x=1&${encode(json)}`, 400],
    ['with two payloads', (json) => `${encode(json)}&${encode('{}')}`, 400],
    ['with another field', (json) => encode(json).replace('payload', 'Payload'), 400],
    ['with plain JSON', (json) => json, 400],
    ['with half a percent', (json) => `${encode(json)}%`, 400],
    ['with a percent of no hex', (json) => `${encode(json)}%zz`, 400],
    ['with invalid UTF-8', () => 'payload=%7B%22a%22%3A%22%ff%22%7D', 400],
    ['with NUL', () => 'payload=%00', 400],
    ['with nothing', () => 'payload=', 400],
    ['with a deep payload', () => encode('['.repeat(1000)), 400],
  ];
  test.each(cases)('%s', async (_, formOf, status) => {
    const body = formOf(pullRequestBody({ title: 'a+b & ü 🎉 100%' }));
    expect(await statusOf(request(signedLines(body, FORM), body))).toBe(status);
    expect(stored()).toBe(status === 202 ? 1 : 0);
    if (status === 202) {
      expect(ingress.recorded.last.triggers[0]?.pullRequest?.title).toBe('a+b & ü 🎉 100%');
    }
  });

  test.each(['gitlab', 'bitbucket-cloud', 'bitbucket-dc', 'azure-repos'])(
    '%s never sends',
    async (host) => {
      const body = encode('{}');
      expect(await statusOf(request(signedLines(body, FORM), body, `/webhooks/${host}`))).toBe(415);
    },
  );
});

describe('connections', () => {
  test('may carry several deliveries at once, answered in their order', async () => {
    const bodies = [pullRequestBody(), '{"a":', pullRequestBody(), pullRequestBody()];
    const connection = await RawConnection.open(ingress.port);
    await connection.send(Buffer.concat(bodies.map((body) => request(signedLines(body), body))));
    const statuses: number[] = [];
    for (const _ of bodies) statuses.push((await connection.answer()).status);
    connection.close();
    expect(statuses).toEqual([202, 400, 202, 202]);
    expect(stored()).toBe(3);
  });

  test('may be cut into single bytes', async () => {
    const body = pullRequestBody({ title: 'ü🎉' });
    const connection = await RawConnection.open(ingress.port);
    for (const byte of request(signedLines(body), body)) await connection.send(Buffer.from([byte]));
    expect((await connection.answer()).status).toBe(202);
    connection.close();
  });

  test('of HTTP/1.0 are answered and closed', async () => {
    const body = pullRequestBody();
    const connection = await RawConnection.open(ingress.port);
    await connection.send(request(signedLines(body), body, undefined, 'HTTP/1.0'));
    expect((await connection.answer()).status).toBe(202);
    await connection.closed();
  });

  test.each([
    ['HTTP/2 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['TLS', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])],
    ['no HTTP', 'hello\r\n\r\n'],
    ['a request without a host', 'POST /webhooks/github HTTP/1.1\r\n\r\n'],
    ['a method of nobody', 'BREW /webhooks/github HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['a version to come', 'POST /webhooks/github HTTP/9.9\r\nhost: x\r\n\r\n'],
  ])('that speak %s are refused', async (_, bytes) => {
    const { status } = await rawRequest(ingress.port, bytes);
    expect(status).toBe(400);
  });

  test('get leave to send a body that is wanted, and none for one that is not', async () => {
    const body = pullRequestBody();
    const expecting = (headers: Lines): Buffer => request([...headers, 'expect: 100-continue'], '');
    const wanted = await RawConnection.open(ingress.port);
    await wanted.send(expecting(signedLines(body)));
    expect((await wanted.answer()).status).toBe(100);
    await wanted.send(body);
    expect((await wanted.answer()).status).toBe(202);
    wanted.close();

    const type = signedLines(body, { 'content-type': 'text/plain' });
    const tooLong = [...lines(githubHeaders(body)), 'content-length: 26214401'];
    for (const [headers, status] of [
      [type, 415],
      [tooLong, 413],
    ] as const) {
      expect(await statusOf(expecting(headers))).toBe(status);
    }
  });

  test.each([
    ['a chunk of no length', 'zz\r\nhello\r\n', 400],
    ['a chunk that ends wrong', '5\r\nhelloXX0\r\n\r\n', 400],
    ['a chunk of a negative length', '-5\r\nhello\r\n0\r\n\r\n', 400],
    ['a chunk of endless length', 'ffffffffffffffffff\r\n', 400],
    ['a chunk with an extension', '2;x="y"\r\n{}\r\n0\r\n\r\n', 401],
    ['chunks with a trailer', '2\r\n{}\r\n0\r\nx-hub-signature-256: x\r\n\r\n', 401],
  ])('with %s are refused', async (_, chunks, status) => {
    const headers = [
      ...lines(githubHeaders('', { 'x-hub-signature-256': null })),
      'transfer-encoding: chunked',
    ];
    expect(await statusOf(request(headers, chunks))).toBe(status);
    expect(stored()).toBe(0);
  });

  test('that trickle chunks are ended after the deadline', async () => {
    const connection = await RawConnection.open(ingress.port);
    const headers = [...lines(githubHeaders('{}')), 'transfer-encoding: chunked'];
    await connection.send(request(headers, '1\r\n{\r\n'));
    const { status } = await connection.answer();
    expect(status).toBe(408);
    await connection.closed();
  });
});

/** The header that proves a delivery, and the right value of it, with a secret and a body. */
const PROOFS: Readonly<
  Record<WebhookSource['provider'], (secret: string, body: string) => readonly [string, string]>
> = {
  github: (secret, body) => ['x-hub-signature-256', signature(body, secret)],
  gitlab: (secret) => ['x-gitlab-token', Buffer.from(secret).toString('latin1')],
  'bitbucket-cloud': (secret, body) => ['x-hub-signature', signature(body, secret)],
  'bitbucket-dc': (secret, body) => ['x-hub-signature', signature(body, secret)],
  'azure-repos': (secret) => ['authorization', `Basic ${Buffer.from(secret).toString('base64')}`],
  gitea: (secret, body) => ['x-gitea-signature', signature(body, secret).slice(7)],
  forgejo: (secret, body) => ['x-forgejo-signature', signature(body, secret).slice(7)],
};

const EVENTS: Lines = [
  'x-github-event: sponsorship',
  'x-gitlab-event: Emoji Hook',
  'x-event-key: repo:frobnicated',
  'x-gitea-event: wiki',
  'x-forgejo-event: wiki',
  'content-type: application/json',
];

describe.each(['github', ...HOSTS] as const)('the proof of %s', (host) => {
  const proofOf = PROOFS[host];
  const body = '{"eventType":"git.frobnicated","object_kind":"emoji"}';
  const send = (proof: Lines, text = body): Promise<number> =>
    statusOf(request([...EVENTS, ...proof, length(text)], text, `/webhooks/${host}`));
  const [name, right] = proofOf(SECRET, body);

  test('is good once, in any case of its name', async () => {
    expect(await send([`${name}: ${right}`])).toBeLessThan(300);
    expect(await send([`${name.toUpperCase()}: ${right}`])).toBeLessThan(300);
    expect(stored()).toBe(1);
  });

  const wrong: readonly (readonly [string, Lines])[] = [
    ['missing', []],
    ['empty', [`${name}: `]],
    ['of another secret', [`${name}: ${proofOf('another', body)[1]}`]],
    ['of no secret', [`${name}: ${proofOf('', body)[1]}`]],
    ['cut', [`${name}: ${right.slice(0, -1)}`]],
    ['longer', [`${name}: ${right}0`]],
    ['twice in one', [`${name}: ${right}, ${right}`]],
    ['quoted', [`${name}: "${right}"`]],
    ['of SHA-1', [`${name}: sha1=${createHmac('sha1', SECRET).update(body).digest('hex')}`]],
    ['of SHA-512', [`${name}: sha512=${createHmac('sha512', SECRET).update(body).digest('hex')}`]],
    [
      'in base64',
      [`${name}: sha256=${createHmac('sha256', SECRET).update(body).digest('base64')}`],
    ],
    ['"null"', [`${name}: null`]],
    ['"true"', [`${name}: true`]],
    ['under another name', [`x-signature: ${right}`]],
  ];
  test.each(wrong)('%s is none', async (_, proof) => {
    expect(await send(proof)).toBe(401);
    expect(stored()).toBe(0);
  });
});
