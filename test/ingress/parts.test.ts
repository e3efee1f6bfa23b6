import { PassThrough } from 'node:stream';
import type { IncomingMessage } from 'node:http';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { AddressList } from '../../src/ingress/webhooks/address-list.ts';
import { BodyReader } from '../../src/ingress/webhooks/body-reader.ts';
import { formBody, formPayload } from '../../src/ingress/webhooks/form.ts';
import { Interpreter } from '../../src/ingress/webhooks/interpreter.ts';
import { parseObject } from '../../src/ingress/webhooks/json.ts';
import { at } from '../../src/ingress/webhooks/payload.ts';
import { Malformed, Unmappable } from '../../src/ingress/webhooks/provider.ts';
import { RateLimit } from '../../src/ingress/webhooks/rate-limit.ts';
import {
  actionName,
  cloneUrl,
  fullName,
  fullRef,
  pullRequestNumber,
  refName,
  sha,
  text,
  webUrl,
} from '../../src/ingress/webhooks/sanitise.ts';
import { throughDoor } from '../../src/ingress/webhooks/store-delivery.ts';
import type { DeliveryReceipt, Door, ReceivedDelivery } from '../../src/write/door.ts';
import { activeSecrets, isSignedByAny } from '../../src/ingress/webhooks/signature.ts';
import { pullRequestBody, source } from './support/ingress.ts';
import { type WorkerFile, workerFile } from './support/worker-file.ts';

describe('JSON', () => {
  const parse = (body: string | Buffer) => parseObject(Buffer.from(body));
  const nested = (levels: number): string =>
    `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
  const list = (length: number): string => `{"a":[${Array.from({ length }, () => '0').join(',')}]}`;

  test('may begin with a byte order mark, once', () => {
    expect(parse('\uFEFF{"a":1}')).toEqual({ a: 1 });
    expect(() => parse('\uFEFF\uFEFF{"a":1}')).toThrow(Malformed);
  });

  test('nests 64 levels and no more', () => {
    expect(parse(nested(64))).toBeTypeOf('object');
    expect(() => parse(nested(65))).toThrow('deeper than 64');
    expect(parse(`{"a":"${'['.repeat(100)}\\"${'['.repeat(100)}\\\\"}`)).toBeTypeOf('object');
  });

  test('has 200,000 tokens and no more', () => {
    // The object, the key and the list are tokens too.
    expect(parse(list(199_997))).toBeTypeOf('object');
    expect(() => parse(list(199_998))).toThrow('more than 200000 tokens');
  });

  test('never says what was wrong by quoting it', () => {
    expect(() => parse('{"secret": hush}')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hush') }),
    );
  });

  test('is read as JSON.parse reads it, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 20 }), fc.nat(4), (value, space) => {
        const json = JSON.stringify({ value }, null, space);
        expect(parse(json)).toEqual(JSON.parse(json));
      }),
    );
  });

  test('is refused only as malformed, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.string({ unit: 'binary' }).map((s) => Buffer.from(s)),
        ),
        (bytes) => {
          try {
            parseObject(bytes);
          } catch (error) {
            if (!(error instanceof Malformed)) throw error;
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

test('a payload has the fields that are in it and no others', () => {
  const payload = parseObject(Buffer.from('{"__proto__":{"a":1},"b":{"c":[2]}}'));

  expect(at(payload, 'a')).toBeUndefined();
  expect(at(payload, '__proto__', 'a')).toBe(1);
  expect(at(payload, 'b', 'c')).toEqual([2]);
  for (const path of [['toString'], ['constructor'], ['b', 'c', 'length'], ['b', 'x', 'y']]) {
    expect(at(payload, ...path)).toBeUndefined();
  }
});

describe('a form', () => {
  test('gives back the JSON that was put into it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (json) => {
        expect(formPayload(formBody(json)).toString()).toBe(json);
      }),
    );
  });

  test.each([
    '',
    'payload',
    'payload=a&payload=b',
    'a=1&payload=b',
    'payload=%',
    'payload=%4',
    'payload=%4x',
    'payload=%é1',
  ])('%j is malformed', (body) => {
    expect(() => formPayload(Buffer.from(body))).toThrow(Malformed);
  });
});

describe('facts', () => {
  test('a text is cut without halving a character, and can be stored', () => {
    expect(text('ab🎉', 3)).toBe('ab\uFFFD');
    expect(text('a\u0000b\ud800', 9)).toBe('a\uFFFDb\uFFFD');
    expect(text(7, 9)).toBeNull();
  });

  test.each(['main', 'feature/a-b_c', 'a.b', 'ü🎉', '#1', 'a@b', '(x)', 'x'.repeat(512)])(
    '%j names a branch',
    (name) => {
      expect(refName(name, 'It')).toBe(name);
    },
  );

  test.each([
    '',
    '-a',
    '/a',
    'a/',
    'a//b',
    'a..b',
    '.a',
    'a/.b',
    'a.lock',
    'a.lock/b',
    'a.',
    '@',
    'a@{b',
    'a b',
    'a~',
    'a^',
    'a:b',
    'a?',
    'a*',
    'a[',
    'a\\b',
    'a\nb',
    'a\u0000',
    'a\u007f',
    'a\ud800',
    'x'.repeat(513),
    7,
    null,
    {},
    ['main'],
  ])('%j names no branch', (name) => {
    expect(() => refName(name, 'It')).toThrow(Unmappable);
  });

  test('a full ref names a branch, a tag or neither', () => {
    expect(fullRef('refs/heads/a/b', 'It')).toEqual({ kind: 'branch', name: 'a/b' });
    expect(fullRef('refs/tags/v1', 'It')).toEqual({ kind: 'tag', name: 'v1' });
    expect(fullRef('refs/notes/x', 'It')).toBeNull();
    for (const bad of ['refs/heads/', 'refs/heads/-a', 'refs/heads/a\nb', null]) {
      expect(() => fullRef(bad, 'It')).toThrow(Unmappable);
    }
  });

  test.each(['a/b', 'group/sub/app', '~USER.NAME/app', 'My Project/My Repo', 'ä/ö'])(
    '%j names a repository',
    (name) => {
      expect(fullName(name)).toBe(name);
    },
  );

  test.each([
    'a',
    'a/',
    '/a',
    'a//b',
    '../b',
    'a/..',
    'a/./b',
    '-a/b',
    'a/-b',
    'a\\b/c',
    'a/b\n',
    '',
    7,
    null,
  ])('%j names no repository', (name) => {
    expect(() => fullName(name)).toThrow(Unmappable);
  });

  test('a commit id is 40 or 64 lower-case digits, and zeros are none', () => {
    expect(sha('a'.repeat(40), 'It')).toBe('a'.repeat(40));
    expect(sha('0'.repeat(64), 'It')).toBeNull();
    expect(sha(null, 'It')).toBeNull();
    for (const bad of ['a'.repeat(41), 'A'.repeat(40), 'HEAD', 7, {}])
      expect(() => sha(bad, 'It')).toThrow(Unmappable);
  });

  test('a number is a positive 32-bit integer, an action a word', () => {
    expect(pullRequestNumber(2_147_483_647)).toBe(2_147_483_647);
    for (const bad of [0, 2_147_483_648, 1.5, '2', Number.NaN])
      expect(() => pullRequestNumber(bad)).toThrow(Unmappable);
    for (const bad of ['', 'a b', '1a', 7, 'x'.repeat(65)])
      expect(() => actionName(bad)).toThrow(Unmappable);
  });

  test.each([
    ['https://u:p@host/a.git', 'https://host/a.git'],
    ['https://host/a b.git', 'https://host/a%20b.git'],
    ['file:///srv/a.git', 'file:///srv/a.git'],
    ['ext::sh -c id', null],
    ['ssh://git@host/a.git', null],
    ['git@host:a.git', null],
    ['--upload-pack=x', null],
    ['javascript:alert(1)', null],
    ['http://169.254.169.254/', null],
    ['http://[fe80::1]/', null],
    [`https://host/${'x'.repeat(2048)}`, null],
    [7, null],
  ])('the clone URL %j becomes %j', (given, kept) => {
    expect(cloneUrl(given)).toBe(kept);
  });
});

test('a URL is kept as parsing writes it, however plain it looks', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_.~%-]{0,5}$/);
  const label = fc.stringMatching(/^[a-z0-9-]{0,6}$/);
  const urls = fc
    .tuple(fc.array(label, { maxLength: 4 }), fc.array(segment, { maxLength: 5 }))
    .map(([host, path]) => `https://${host.join('.')}/${path.join('/')}`);
  fc.assert(
    fc.property(fc.oneof(urls, fc.webUrl()), (given) => {
      const expected = URL.canParse(given) ? new URL(given) : null;
      if (expected?.protocol === 'http:' || expected?.hostname.startsWith('169.254.')) return;
      expect(webUrl(given)).toBe(expected?.href ?? null);
    }),
    { numRuns: 2_000 },
  );
});

describe('secrets', () => {
  test('end with their time, and an empty one never begins', () => {
    const now = new Date('2026-11-20T12:00:00Z');
    const secrets = [
      { value: 'a', expiresAt: null },
      { value: 'b', expiresAt: new Date('2026-11-20T12:00:01Z') },
      { value: 'c', expiresAt: now },
      { value: '', expiresAt: null },
    ];
    expect(activeSecrets(source({ secrets }), now)).toEqual(['a', 'b']);
  });

  test('that are none sign nothing', () => {
    expect(isSignedByAny(Buffer.alloc(32), [], 'x')).toBe(false);
    expect(isSignedByAny(null, ['a'], 'x')).toBe(false);
    expect(isSignedByAny(Buffer.alloc(31), ['a'], 'x')).toBe(false);
  });
});

describe('addresses', () => {
  test('are allowed singly and by network, in either form', () => {
    const list = new AddressList('The source "s" allows', [
      '192.0.2.1',
      '10.0.0.0/8',
      '2001:db8::/32',
    ]);
    for (const inside of ['192.0.2.1', '::ffff:192.0.2.1', '10.200.0.1', '2001:db8::5'])
      expect(list.has(inside)).toBe(true);
    for (const outside of ['192.0.2.2', '11.0.0.1', '2001:db9::', '', 'localhost'])
      expect(list.has(outside)).toBe(false);
  });

  test.each([
    'host',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/x',
    '10.0.0.0/8/8',
    '::/129',
    '10.0.0.0/-1',
    '',
  ])('%j is no entry, and says so at the start', (entry) => {
    expect(() => new AddressList('The source "s" allows', [entry])).toThrow(
      `The source "s" allows "${entry}"`,
    );
  });
});

test('a rate lets so many through in each minute', () => {
  const rate = new RateLimit(2);
  const wait = (seconds: number) => rate.waitMs(new Date(seconds * 1000));

  expect([wait(0), wait(1), wait(2), wait(59), wait(60), wait(61), wait(62)]).toEqual([
    0, 0, 58_000, 1000, 0, 0, 58_000,
  ]);
});

test('a large body has more time to be stored', async () => {
  const receipt: DeliveryReceipt = { status: 'new', id: 'row', jobs: [] };
  const slow = {
    execute: () =>
      new Promise((resolve) => {
        setTimeout(resolve, 60, receipt);
      }),
  } as unknown as Door;
  const store = (bytes: number) =>
    throughDoor(slow, 30)({ body: Buffer.alloc(bytes) } as ReceivedDelivery);

  await expect(store(10)).rejects.toThrow('not stored within 30 ms');
  await expect(store(25 * 1_048_576)).resolves.toBe(receipt);
});

describe('bodies', () => {
  const request = (headers: Record<string, string> = {}) =>
    Object.assign(new PassThrough(), { headers }) as unknown as IncomingMessage & PassThrough;
  const limits = { bytes: 100, deadlineMs: 5000 };

  test('that are read together hold no more than they may', async () => {
    const reader = new BodyReader(150);
    const first = request();
    first.end(Buffer.alloc(100));
    await reader.withBody(first, limits, async () => {
      const second = request();
      second.end(Buffer.alloc(100));
      await expect(reader.withBody(second, limits, () => Promise.resolve(1))).rejects.toMatchObject(
        { problem: 'unavailable' },
      );
    });
    const third = request();
    third.end(Buffer.alloc(100));
    await expect(
      reader.withBody(third, limits, (body) => Promise.resolve(body.length)),
    ).resolves.toBe(100);
  });

  test('that fail to be read give back what they held', async () => {
    const reader = new BodyReader(150);
    for (let n = 0; n < 5; n += 1) {
      const cut = request();
      cut.write(Buffer.alloc(90));
      setImmediate(() => cut.destroy());
      await expect(reader.withBody(cut, limits, () => Promise.resolve(1))).rejects.toThrow(
        'before the body was whole',
      );
    }
  });
});

describe('a large body', () => {
  let worker: WorkerFile;
  beforeAll(async () => {
    worker = await workerFile();
  });
  afterAll(() => {
    worker.remove();
  });
  const order = (padding: number, head = {}) =>
    ({
      provider: 'github',
      headers: { 'x-github-event': 'pull_request', ...head },
      body: Buffer.from(pullRequestBody({}, { padding: 'x'.repeat(padding) })),
      format: 'json',
    }) as const;

  test('is read while this thread goes on, and to the same end', async () => {
    const interpreter = new Interpreter(worker.url);
    const happened: string[] = [];
    const large = order(1_100_000);
    const small = order(1);
    const read = interpreter.interpret(large).then((result) => {
      happened.push('large');
      return result;
    });
    await interpreter.interpret(small).then(() => happened.push('small'));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    happened.push('turn');

    expect(await read).toMatchObject({
      kind: 'read',
      event: 'pull_request',
      facts: [{ action: 'opened' }],
    });
    expect(happened).toEqual(['small', 'turn', 'large']);
    expect(large.body.length).toBeGreaterThan(1_100_000);
    await interpreter.close();
  });

  test('that comes with others is read in its turn, and a lost thread is replaced', async () => {
    const interpreter = new Interpreter(worker.url);
    const reads = [1, 2, 3].map((n) =>
      interpreter.interpret(order(1_100_000, { 'x-github-delivery': String(n) })),
    );
    expect(
      (await Promise.all(reads)).map((read) => read.kind === 'read' && read.deliveryId),
    ).toEqual(['1', '2', '3']);
    const cut = interpreter.interpret(order(20_000_000));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    await interpreter.close();
    await expect(cut).rejects.toThrow('The thread that reads large bodies broke');
    await expect(interpreter.interpret(order(1_100_000))).resolves.toMatchObject({ kind: 'read' });
    await interpreter.close();
  });
});
