import { createHmac } from 'node:crypto';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { attacks, fixturesNote, haveFixtures } from './support/fixtures.ts';
import {
  SECRET,
  type TestIngress,
  githubHeaders,
  post,
  pullRequestBody,
  signature,
  source,
  startIngress,
} from './support/ingress.ts';
import { RawConnection, rawRequest } from './support/raw-http.ts';
import { type WorkerFile, workerFile } from './support/worker-file.ts';

const MAX_BODY = 26_214_400;
const OLDER = 'the older secret';

let ingress: TestIngress;
/** With deadlines so short that an honest delivery may miss them. */
let hasty: TestIngress;
let worker: WorkerFile;

beforeAll(async () => {
  worker = await workerFile();
  hasty = await startIngress({ readDeadlineMs: 300, storeDeadlineMs: 100 });
  ingress = await startIngress({
    workerUrl: worker.url,
    sources: [
      source({
        secrets: [
          { value: SECRET, expiresAt: null },
          { value: OLDER, expiresAt: null },
          { value: 'expired', expiresAt: new Date('2020-01-01T00:00:00Z') },
        ],
      }),
      source({ name: 'closed', secrets: [] }),
      source({ name: 'empty', secrets: [{ value: '', expiresAt: null }] }),
      source({ name: 'slow', maxPerMinute: 3 }),
      source({ name: 'far', allowedIps: ['192.0.2.0/24', '2001:db8::/32'] }),
      source({ name: 'near', allowedIps: ['192.0.2.1', '127.0.0.0/8'] }),
      source({ name: 'picky', repositories: ['Acme/Other'] }),
    ],
  });
});
afterAll(async () => {
  await Promise.all([ingress.close(), hasty.close()]);
  worker.remove();
});
beforeEach(() => {
  ingress.recorded.deliveries.length = 0;
  ingress.recorded.before = () => Promise.resolve();
});

type Change = Readonly<Record<string, string | null>>;

/** Sends a pull request, signed unless the headers say otherwise, and gives the status. */
const status = async (
  change: Change = {},
  body: string | Buffer = pullRequestBody(),
  path?: string,
) => (await post(ingress, body, change, path)).status;

/** Gives the statuses of several requests. */
const each = async <T>(values: readonly T[], send: (value: T) => Promise<number>) => {
  const statuses: number[] = [];
  for (const value of values) statuses.push(await send(value));
  return [...new Set(statuses)];
};

const signed = (value: string): Change => ({ 'x-hub-signature-256': value });
const sha1 = (body: string) => `sha1=${createHmac('sha1', SECRET).update(body).digest('hex')}`;
const stored = (): number => ingress.recorded.deliveries.length;

/** A request as text, whose headers no client would mend. */
const head = (headers: Readonly<Record<string, string>>, path = '/webhooks/github'): string =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

const form = (json: string): string => new URLSearchParams({ payload: json }).toString();
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** A body of exactly so many bytes. */
function bodyOf(bytes: number): string {
  const [before = '', after = ''] = pullRequestBody({}, { padding: '@' }).split('@');
  return `${before}${'x'.repeat(bytes - before.length - after.length)}${after}`;
}

/** Sends each attack of this id; gives every status that came back, and leaves what was stored. */
const ATTACKS: Readonly<Record<string, () => Promise<readonly number[]>>> = {
  A01: async () => [await status({ 'x-hub-signature-256': null })],
  A02: async () => [await status(signed(''))],
  A03: async () => [await status(signed(`sha256=${'0'.repeat(64)}`))],
  A04: async () => [await status(signed('sha256=abcd'))],
  A05: async () => [await status(signed('sha2'))],
  A08: async () => {
    const body = pullRequestBody();
    const upper = `sha256=${signature(body).slice(7).toUpperCase()}`;
    return [await status(signed(upper), body)];
  },
  A09: async () => {
    const body = pullRequestBody();
    return [await status({ 'x-hub-signature-256': null, 'x-hub-signature': sha1(body) }, body)];
  },
  A11: async () => {
    const body = pullRequestBody();
    return [
      await status({ 'x-hub-signature-256': null, 'x-hub-signature': signature(body) }, body),
    ];
  },
  A12: async () => {
    const body = pullRequestBody();
    const sha512 = createHmac('sha512', SECRET).update(body).digest('hex');
    const digest = signature(body).slice(7);
    const values = [
      `sha512=${sha512}`,
      `SHA256=${digest}`,
      `sha256:${digest}`,
      digest,
      `sha256=${digest}, sha256=${digest}`,
      `sha256=${digest}00`,
    ];
    return each(values, (value) => status(signed(value), body));
  },
  A15: async () => {
    const raw = unusual();
    return [await status(signed(signature(JSON.stringify(JSON.parse(raw)))), raw)];
  },
  A16: async () => [await status({}, unusual())],
  A17: async () => {
    const body = pullRequestBody();
    return [await status(signed(signature(body)), `${body.slice(0, -1)} `)];
  },
  A18: async () => {
    const body = Buffer.from(pullRequestBody({ title: 'Mend the roof 🎉 é' }));
    const cut = body.indexOf(Buffer.from('🎉')) + 2;
    const connection = await RawConnection.open(ingress.port);
    await connection.send(head({ ...githubHeaders(body), 'content-length': String(body.length) }));
    await connection.send(body.subarray(0, cut));
    await connection.send(body.subarray(cut));
    const answer = await connection.answer();
    connection.close();
    expect(ingress.recorded.last.triggers[0]?.pullRequest?.title).toBe('Mend the roof 🎉 é');
    return [answer.status];
  },
  A19: async () => {
    const body = pullRequestBody();
    return [await status(signed(signature(body, OLDER)), body)];
  },
  A20: async () =>
    each(['expired', 'removed'], (secret) => {
      const body = pullRequestBody();
      return status(signed(signature(body, secret)), body);
    }),
  A21: async () =>
    each(['/webhooks/closed', '/webhooks/empty'], (path) => {
      const body = pullRequestBody();
      return status(signed(signature(body, '')), body, path);
    }),
  A34: async () => {
    const body = pullRequestBody();
    const right = signature(body);
    return each([8, 20, 40, 70], (length) =>
      status(signed(right.slice(0, length).padEnd(71, right[length] === '0' ? '1' : '0')), body),
    );
  },
  A35: async () => [
    await status(
      { 'x-hub-signature-256': null },
      pullRequestBody(),
      `/webhooks/github?secret=${encodeURIComponent(SECRET)}`,
    ),
  ],
  B01: async () => {
    const body = pullRequestBody();
    const headers = { 'x-github-delivery': 'b01' };
    const first = await post(ingress, body, headers);
    const second = await post(ingress, body, headers);
    expect(second.body).toEqual({ ...first.body, duplicate: true });
    ingress.recorded.deliveries.pop();
    return [second.status];
  },
  B02: async () => {
    const body = pullRequestBody();
    const headers = { 'x-github-delivery': 'b02' };
    const all = await Promise.all(Array.from({ length: 50 }, () => status(headers, body)));
    expect(all.filter((one) => one === 202)).toHaveLength(1);
    expect(all.filter((one) => one === 200)).toHaveLength(49);
    expect(stored()).toBe(1);
    return [];
  },
  B03: async () => {
    const headers = { 'x-github-delivery': 'b03' };
    await status(headers);
    const statuses = [await status(headers)];
    expect(stored()).toBe(1);
    ingress.recorded.deliveries.pop();
    return statuses;
  },
  B06: async () => {
    const body = pullRequestBody();
    const headers = { 'x-github-delivery': null };
    const first = await status(headers, body);
    expect(await status(headers, body)).toBe(200);
    expect(ingress.recorded.last.key).toMatch(/^sha256:[0-9a-f]{64}$/);
    return [first];
  },
  B07: async () => {
    const ids = ['x'.repeat(10_000), 'a\tb', "1'; drop table jobs --", 'a b', '', 'a, b'];
    const raw = async (id: string): Promise<number> => {
      const body = pullRequestBody();
      const headers = { ...githubHeaders(body), 'x-github-delivery': id };
      const length = String(Buffer.byteLength(body));
      return (await rawRequest(ingress.port, head({ ...headers, 'content-length': length }), body))
        .status;
    };
    return [...(await each(ids, raw)), await raw('🎉'), await raw('\u0001')];
  },
  B11: async () => {
    const statuses = await each(['c', 'd'], (digit) =>
      status({}, pullRequestBody({ head: { ref: 'roof', sha: digit.repeat(40) } })),
    );
    ingress.recorded.deliveries.pop();
    return statuses;
  },
  C01: async () => [await status({}, '')],
  C02: async () =>
    each(['"hello', '{"a":', 'hello', '{"a":1}}', '{"a":01}'], (body) => status({}, body)),
  C03: async () => each(['[]', 'null', '1', '"x"', 'true'], (body) => status({}, body)),
  C05: async () => {
    const body = Buffer.from(pullRequestBody({ title: '@@' }));
    body.set([0xff, 0xfe], body.indexOf('@@'));
    return [await status({}, body)];
  },
  C06: async () =>
    each(['utf-16', 'latin1', 'utf-8x'], (charset) =>
      status({ 'content-type': `application/json; charset=${charset}` }),
    ),
  C07: async () => {
    const body = pullRequestBody({ title: 'x\u0000y\ud800z' });
    const answer = await status({}, body);
    expect(ingress.recorded.last.triggers[0]?.pullRequest?.title).toBe('x\uFFFDy\uFFFDz');
    expect(ingress.recorded.last.body.toString()).toBe(body);
    return [answer];
  },
  C09: async () =>
    each([64, 10_000, 1_000_000], (levels) => {
      const nested = `${'['.repeat(levels)}${']'.repeat(levels)}`;
      return status({}, pullRequestBody({}, { nested: '@' }).replace('"@"', `[${nested}]`));
    }),
  C11: async () => {
    const hostile = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},';
    const body = pullRequestBody()
      .replace('{', hostile)
      .replace('"pull_request":{', `"pull_request":${hostile}`);
    const answer = await status({}, body);
    expect('polluted' in {}).toBe(false);
    return [answer];
  },
  C13: async () => {
    const numbers = ['1e999', '12345678901234567890', '1e200000'];
    return unmappable(
      numbers.map((number) => pullRequestBody({ number: 777 }).replaceAll('777', number)),
    );
  },
  C14: async () =>
    unmappable(['2', {}, [], true, -1, 1.5, null].map((number) => pullRequestBody({ number }))),
  C16: async () => {
    const refs = [
      '--upload-pack=x',
      'a..b',
      'a\nb',
      'x'.repeat(1_000_000),
      'a b',
      '',
      'a.lock',
      '@{',
    ];
    return unmappable(
      refs.map((ref) => pullRequestBody({ head: { ref, sha: 'a'.repeat(40), repo: null } })),
    );
  },
  C17: async () => {
    const urls = ['ext::sh -c id', 'file:///etc/passwd', 'http://169.254.169.254/x.git'];
    const answers = await each(urls, (url) =>
      status({}, pullRequestBody({}, { repository: { full_name: 'acme/app', clone_url: url } })),
    );
    const clones = ingress.recorded.deliveries.map(
      ({ triggers }) => triggers[0]?.repository?.cloneUrl,
    );
    expect(clones).toEqual([null, null, null]);
    ingress.recorded.deliveries.length = 1;
    return answers;
  },
  C18: async () => {
    const titles = ['<script>', '\u202egnp', 'a\r\nb', '\u001b[31m', 'x'.repeat(1_000_000)];
    ingress.log.length = 0;
    const answers = await each(titles, (title) => status({}, pullRequestBody({ title })));
    expect(ingress.recorded.last.triggers[0]?.pullRequest?.title).toBe('x'.repeat(1024));
    expect(ingress.log.filter((line) => line.includes('"delivery"'))).toHaveLength(titles.length);
    expect(ingress.log.every((line) => line.indexOf('\n') === line.length - 1)).toBe(true);
    ingress.recorded.deliveries.length = 1;
    return answers;
  },
  C23: async () => [await status({}, bodyOf(MAX_BODY))],
  C24: async () => {
    const body = bodyOf(MAX_BODY + 1);
    const declared = await rawRequest(
      ingress.port,
      head({ ...githubHeaders(body), 'content-length': String(body.length) }),
      body.slice(0, 1000),
    );
    const chunked = await RawConnection.open(ingress.port);
    await chunked.send(head({ ...githubHeaders(body), 'transfer-encoding': 'chunked' }));
    await chunked.send(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
    const answer = await chunked.answer();
    await chunked.closed();
    return [await status({}, body), declared.status, answer.status];
  },
  C26: async () => {
    const body = pullRequestBody();
    const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
    const answer = await rawRequest(
      ingress.port,
      head({ ...githubHeaders(body), 'transfer-encoding': 'chunked' }),
      chunk(body.slice(0, 100)),
      chunk(body.slice(100)),
      '0\r\n\r\n',
    );
    return [answer.status];
  },
  C27: async () =>
    each(['gzip', 'gzip, gzip', 'br', 'deflate'], (coding) => {
      const body = gzipSync(pullRequestBody());
      return status({ 'content-encoding': coding, ...signed(signature(body)) }, body);
    }),
  C28: async () => {
    const before = process.memoryUsage().rss;
    const gzip = gzipSync(Buffer.alloc(200 * 1024 * 1024));
    const brotli = brotliCompressSync(Buffer.alloc(1024 * 1024));
    const statuses = [
      await status({ 'content-encoding': 'gzip' }, gzip),
      await status({ 'content-encoding': 'br' }, brotli),
    ];
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
    return statuses;
  },
  C29: async () => {
    const types = [
      'text/plain',
      'multipart/form-data; boundary=x',
      'application/xml',
      ';;',
      'json',
    ];
    const statuses = await each(types, (type) => status({ 'content-type': type }));
    const body = pullRequestBody();
    const { 'content-type': _, ...headers } = githubHeaders(body);
    const length = String(Buffer.byteLength(body));
    const none = await rawRequest(
      ingress.port,
      head({ ...headers, 'content-length': length }),
      body,
    );
    return [...statuses, none.status];
  },
  C30: async () => {
    const body = form(pullRequestBody({ title: 'a+b & ü=1%' }));
    const answer = await status(FORM, body);
    expect(ingress.recorded.last.triggers[0]?.pullRequest?.title).toBe('a+b & ü=1%');
    expect(ingress.recorded.last.body.toString()).toBe(body);
    return [answer];
  },
  C31: async () => {
    const json = pullRequestBody();
    return [await status({ ...FORM, ...signed(signature(json)) }, form(json))];
  },
  D01: async () =>
    each(['GET', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS'], async (method) => {
      const response = await fetch(`${ingress.url}/webhooks/github`, { method });
      expect(response.headers.get('allow')).toBe('POST');
      return response.status;
    }),
  D02: async () =>
    each(['nobody', '__proto__', 'constructor'], (name) => status({}, '{}', `/webhooks/${name}`)),
  D03: async () =>
    each(['/hooks/svn/1', '/', '/webhooks', '/webhooks/github/x'], (path) =>
      status({}, '{}', path),
    ),
  D05: async () => {
    const answer = await status({ 'x-github-event': 'sponsorship' });
    expect(ingress.recorded.last).toMatchObject({ outcome: 'ignored', event: 'sponsorship' });
    expect(ingress.metrics.counted.at(-1)).toBe('github ignored');
    return [answer];
  },
  D06: async () => {
    const answer = await status({}, pullRequestBody({}, { action: 'action_we_do_not_support' }));
    expect(ingress.recorded.last).toMatchObject({ outcome: 'ignored', jobs: [] });
    return [answer];
  },
  D09: async () => {
    const connection = await RawConnection.open(hasty.port);
    await connection.send('POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx-slow: ');
    const answer = await connection.answer();
    await connection.closed();
    return [answer.status];
  },
  D10: async () => {
    const connection = await RawConnection.open(hasty.port);
    await connection.send(head({ ...githubHeaders('{}'), 'content-length': '25000000' }));
    await connection.send('{"a":');
    const answer = await connection.answer();
    expect(JSON.parse(answer.body)).toMatchObject({
      detail: 'The body did not arrive within 0.3 s: send it faster',
    });
    connection.close();
    return [answer.status];
  },
  D11: async () => {
    const many = Object.fromEntries(
      Array.from({ length: 2000 }, (_, n) => [`x-${String(n)}`, 'a']),
    );
    return each([{ 'x-long': 'a'.repeat(20_000) }, many], async (headers) => {
      return (await rawRequest(ingress.port, head(headers))).status;
    });
  },
  D13: async () => {
    ingress.recorded.before = () => Promise.reject(new Error('no database for this'));
    const statuses = await Promise.all(
      Array.from({ length: 300 }, () => status({ 'x-hub-signature-256': null })),
    );
    return [...new Set(statuses)];
  },
  D14: async () => {
    const wrong = await status(signed('sha256=0'), '{}', '/webhooks/slow');
    expect(wrong).toBe(401);
    const all = await each([1, 2, 3], () => status({}, undefined, '/webhooks/slow'));
    expect(all).toEqual([202]);
    const over = await post(ingress, pullRequestBody(), {}, '/webhooks/slow');
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await status()).toBe(202);
    expect(stored()).toBe(4);
    ingress.recorded.deliveries.length = 0;
    return [over.status];
  },
  D15: async () => {
    expect(await status({}, pullRequestBody(), '/webhooks/near')).toBe(202);
    ingress.recorded.deliveries.length = 0;
    return [await status({}, pullRequestBody(), '/webhooks/far')];
  },
  D17: async () => {
    const failures = [
      () => Promise.reject(new Error('Postgres is away')),
      () => new Promise<never>(() => undefined),
    ];
    return each(failures, async (fail) => {
      hasty.recorded.before = fail;
      const answer = await post(hasty, pullRequestBody());
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(hasty.recorded.deliveries).toHaveLength(0);
      return answer.status;
    });
  },
  D23: async () => {
    const answer = await post(ingress, pullRequestBody(), {}, '/webhooks/picky');
    expect(answer.body).toMatchObject({ jobs: [], reason: expect.stringContaining('acme/app') });
    expect(ingress.recorded.last.outcome).toBe('ignored');
    return [answer.status];
  },
};

/** JSON as nobody's serialiser would write it. */
const unusual = (): string =>
  pullRequestBody({}, { odd: 'ODD' })
    .replace('"ODD"', '[ 1.0, 1e2, "\\u001B\\/" ] ')
    .replaceAll(':', ' : ');

async function unmappable(bodies: readonly string[]): Promise<readonly number[]> {
  const statuses = await each(bodies, (body) => status({}, body));
  expect(ingress.recorded.deliveries.map(({ outcome }) => outcome)).toEqual(
    bodies.map(() => 'unmappable'),
  );
  expect(ingress.recorded.deliveries.flatMap(({ jobs }) => jobs)).toEqual([]);
  ingress.recorded.deliveries.length = 1;
  return statuses;
}

/** Attacks that are answered elsewhere, or cannot be made here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  A23: 'hosts.test.ts',
  A24: 'hosts.test.ts',
  A25: 'hosts.test.ts',
  A27: 'hosts.test.ts',
  A28: 'hosts.test.ts',
  A30: 'hosts.test.ts',
  A31: 'hosts.test.ts',
  A32: 'hosts.test.ts',
  C20: 'hosts.test.ts',
  C33: 'hosts.test.ts',
  D20: 'ingress.test.ts',
  D22: 'nowhere: a source has no account of its own to know itself by',
  D24: 'ingress.test.ts',
};

describe.skipIf(!haveFixtures)(`hostile input${fixturesNote}`, () => {
  const here = attacks().filter(({ id }) => ELSEWHERE[id] === undefined);

  test.each(here)('$id $name: $expect_status, stored: $expect_stored', async (attack) => {
    const send = ATTACKS[attack.id];
    if (send === undefined) throw new Error(`Nobody sends the attack ${attack.id}`);
    const statuses = await send();
    ingress.recorded.before = () => Promise.resolve();

    const allowed = String(attack.expect_status).match(/\d{3}/g)?.map(Number) ?? [];
    for (const one of statuses) expect(allowed).toContain(one);
    if (attack.expect_stored.startsWith('nothing')) expect(stored()).toBe(0);
    if (attack.expect_stored.startsWith('1 delivery')) expect(stored()).toBe(1);
    expect(await status(), 'an honest delivery afterwards').toBe(202);
  });
});
