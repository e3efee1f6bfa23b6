import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import { AddressList } from '../../src/ingress/webhooks/address-list.ts';
import { plainAddress, senderOf } from '../../src/ingress/webhooks/address.ts';
import { ClientAddress } from '../../src/ingress/webhooks/client-address.ts';
import { FailureLimit } from '../../src/ingress/webhooks/failure-limit.ts';
import {
  type Answered,
  type TestIngress,
  post,
  pullRequestBody,
  source,
  startIngress,
} from './support/ingress.ts';

let ingress: TestIngress;
const open: TestIngress[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function start(options: Parameters<typeof startIngress>[0] = {}): Promise<void> {
  ingress = await startIngress(options);
  open.push(ingress);
}

describe('an address', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:C000:0201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::1', '::1'],
    ['192.0.2.1:80', null],
    ['192.0.2', null],
    ['0xc0.0.2.1', null],
    ['unknown', null],
    ['', null],
  ])('%j is %j', (given, plain) => {
    expect(plainAddress(given)).toBe(plain);
  });

  test('of IPv6 is one sender with all of its /64', () => {
    expect(senderOf('2001:db8::1')).toBe(senderOf('2001:db8:0:0:ffff::2'));
    expect(senderOf('2001:db8:0:1::1')).not.toBe(senderOf('2001:db8::1'));
    expect(senderOf('192.0.2.1')).not.toBe(senderOf('192.0.2.2'));
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        expect(senderOf(plainAddress(address) ?? '').split(/[:.]/)).toHaveLength(4);
      }),
    );
  });

  test('is in a network that is written with IPv4 in IPv6, and only there', () => {
    const list = new AddressList('It allows', ['::ffff:192.0.2.0/120', '::ffff:10.0.0.1']);

    expect(['192.0.2.9', '::ffff:192.0.2.9', '10.0.0.1'].every((each) => list.has(each))).toBe(
      true,
    );
    expect(['192.0.3.9', '10.0.0.2', '::1'].some((each) => list.has(each))).toBe(false);
    expect(() => new AddressList('It allows', ['::ffff:10.0.0.0/90'])).toThrow('neither');
  });
});

describe('X-Forwarded-For', () => {
  const clients = new ClientAddress(['10.0.0.0/8', '2001:db8:1::/48']);

  test.each<[string, string | undefined, string]>([
    ['198.51.100.1', '203.0.113.5', '198.51.100.1'],
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', '203.0.113.5', '203.0.113.5'],
    ['::ffff:10.0.0.1', '203.0.113.5', '203.0.113.5'],
    ['10.0.0.1', '192.0.2.66, 203.0.113.5', '203.0.113.5'],
    ['10.0.0.1', '192.0.2.66, 203.0.113.5, 10.9.9.9', '203.0.113.5'],
    ['10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['2001:db8:1::7', '2001:db8:9::5', '2001:db8:9::5'],
    ['10.0.0.1', '[2001:db8:9::5]:4711', '2001:db8:9::5'],
    ['10.0.0.1', '203.0.113.5:4711', '203.0.113.5'],
    ['10.0.0.1', '::ffff:203.0.113.5', '203.0.113.5'],
    ['10.0.0.1', '203.0.113.5, unknown', '10.0.0.1'],
    ['10.0.0.1', '203.0.113.5, , 10.0.0.2', '10.0.0.2'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['', '203.0.113.5', ''],
  ])('from %j saying %j is of %j', (remote, forwardedFor, client) => {
    expect(clients.of(remote, forwardedFor)).toBe(client);
  });

  test('says nothing where no proxy is trusted', () => {
    expect(new ClientAddress([]).of('10.0.0.1', '203.0.113.5')).toBe('10.0.0.1');
  });

  test('whatever it is, gives an address that stands in it or the one of the socket', () => {
    const hops = fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), { maxLength: 30 });
    fc.assert(
      fc.property(hops, (given) => {
        const client = clients.of('10.0.0.1', given.join(', '));
        expect([
          '10.0.0.1',
          ...given
            .join(', ')
            .split(',')
            .map((each) => plainAddress(each.trim())),
        ]).toContain(client);
      }),
    );
  });
});

const behind = (forwardedFor: string): Promise<Answered> =>
  post(ingress, pullRequestBody(), { 'x-forwarded-for': forwardedFor });

test('a source allows whom a trusted proxy has seen, and nobody believes what came before', async () => {
  const sources = [source({ allowedIps: ['203.0.113.0/24', '2001:db8::/32'] })];
  await start({ sources, trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });

  expect((await behind('203.0.113.5')).status).toBe(202);
  expect((await behind('2001:db8::5')).status).toBe(202);
  expect((await behind('198.51.100.1, ::ffff:203.0.113.5, 10.1.2.3')).status).toBe(202);
  expect((await behind('203.0.113.5, 198.51.100.1')).status).toBe(403);
  expect((await behind('203.0.113.5, nobody')).status).toBe(403);
  expect((await post(ingress, pullRequestBody())).status).toBe(403);
});

test('without a trusted proxy the socket alone says who it is', async () => {
  await start({ sources: [source({ allowedIps: ['203.0.113.0/24'] })] });

  expect((await behind('203.0.113.5')).status).toBe(403);
});

describe('what is not authentic', () => {
  const wrong = (forwardedFor = '203.0.113.5'): Promise<Answered> =>
    post(ingress, pullRequestBody(), {
      'x-forwarded-for': forwardedFor,
      'x-hub-signature-256': `sha256=${'0'.repeat(64)}`,
    });
  const limited = { trustedProxies: ['127.0.0.1'], maxFailuresPerMinute: 3 };

  test('is refused unread when nothing else came from the address, and the others are not', async () => {
    await start(limited);
    const statuses = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await wrong()).status);
    const refused = await wrong();

    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.body).toMatchObject({ type: 'urn:jobledger:problem:too-many-failures' });
    expect((await wrong('203.0.113.6')).status).toBe(401);
    expect((await behind('203.0.113.7')).status).toBe(202);
    expect(ingress.metrics.counted).toContain('github too-many-failures');
  });

  test('never has an address refused from which something authentic came', async () => {
    await start(limited);
    await behind('203.0.113.5');
    const statuses = new Set<number>();
    for (let n = 0; n < 20; n += 1) statuses.add((await wrong()).status);

    expect([...statuses]).toEqual([401]);
    expect((await behind('203.0.113.5')).status).toBe(202);
  });

  test('is not counted unless it is told to be', async () => {
    await start();
    for (let n = 0; n < 20; n += 1) expect((await wrong()).status).toBe(401);
  });
});

describe('failures', () => {
  test('are forgotten one by one', () => {
    const limit = new FailureLimit(60);
    for (let n = 0; n < 60; n += 1) limit.failed('192.0.2.1', 0);

    expect(limit.waitMs('192.0.2.1', 0)).toBe(1_000);
    expect(limit.waitMs('192.0.2.1', 400)).toBeCloseTo(600);
    expect(limit.waitMs('192.0.2.1', 1_000)).toBe(0);
  });

  test('of ever new addresses take no more memory than so many', () => {
    const limit = new FailureLimit(1);
    limit.failed('192.0.2.1', 0);
    expect(limit.waitMs('192.0.2.1', 0)).toBeGreaterThan(0);
    for (let n = 0; n < 10_000; n += 1)
      limit.failed(`10.1.${String(n >> 8)}.${String(n & 255)}`, 0);

    expect(limit.waitMs('192.0.2.1', 0)).toBe(0);
    expect(limit.waitMs('10.1.39.15', 0)).toBeGreaterThan(0);
  });
});
