import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { type ClientOptions, type Job, createClient } from '../../src/client/index.ts';
import { freePort } from '../../src/platform/free-port.ts';
import { newId } from '../../src/platform/ids.ts';
import { runApi } from '../../src/processes/api.ts';
import { defineWorkflow } from '../../src/sdk/index.ts';
import { gate } from '../workers/engine.ts';
import { type Service, startService } from '../support/service.ts';
import { type TcpProxy, startProxy } from '../support/tcp-proxy.ts';

const pausing = defineWorkflow({
  name: 'pausing',
  run: async ({ job, step, waitForEvent }) => {
    const first = await step('first', () => 1);
    const signal = await waitForEvent('go', { key: job.id });
    return { first, payload: signal?.payload ?? null };
  },
});

let service: Service;
let proxy: TcpProxy;
beforeAll(async () => {
  service = await startService({ workflows: [pausing] });
  proxy = await startProxy(Number(new URL(service.api).port));
}, 120_000);
afterAll(async () => {
  for (const each of opened) each.close();
  await proxy.close();
  await service.stop();
}, 60_000);

const opened: ReturnType<typeof createClient>[] = [];
const client = (change: Partial<ClientOptions> = {}) => {
  const made = createClient({
    url: service.api,
    retry: { firstDelayMs: 1, maxDelayMs: 50 },
    ...change,
  });
  opened.push(made);
  return made;
};

const push = { workflow: 'pausing', repository: 'o/r' } as const;

describe('a program of a user', () => {
  test('requests a job, follows it, answers it and gets its result', async () => {
    const jobledger = client();
    const { id } = await jobledger.requestJob({ ...push, ref: 'main' });
    const seen: Job[] = [];
    for await (const job of jobledger.follow(id)) {
      seen.push(job);
      const isFirstPause = seen.filter(({ status }) => status === 'PAUSED').length === 1;
      if (job.status === 'PAUSED' && isFirstPause) {
        await jobledger.sendSignal('go', { key: id, payload: { yes: true } });
      }
    }
    expect(seen.at(-1)).toMatchObject({
      status: 'COMPLETED',
      result: { first: 1, payload: { yes: true } },
    });
    expect(seen.map(({ version }) => version)).toEqual(
      seen.map((_, index) => (seen[0]?.version ?? 0) + index),
    );
    expect((await jobledger.job(id))?.steps).toMatchObject([{ name: 'first', output: 1 }]);
  }, 60_000);

  test('cancels, retries and resumes, and hears why it may not', async () => {
    const jobledger = client();
    const { id } = await jobledger.requestJob({ ...push, idempotencyKey: 'once' });
    expect((await jobledger.requestJob({ ...push, idempotencyKey: 'once' })).id).toBe(id);
    await statusOf(jobledger, id, 'PAUSED');
    expect((await jobledger.cancelJob(id, { reason: 'test' })).status).toBe('CANCELLED');
    await expect(jobledger.resumeJob(id)).rejects.toMatchObject({ code: 'JOB_FINISHED' });
    await expect(jobledger.retryJob(id, { fromStep: 'none' })).rejects.toMatchObject({
      code: 'STEP_NOT_FOUND',
      errors: [{ field: ['fromStep'] }],
    });
    await expect(jobledger.cancelJob(newId())).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    await jobledger.retryJob(id);
    await statusOf(jobledger, id, 'PAUSED');
    await jobledger.resumeJob(id, { payload: 'by hand' });
    const last = await statusOf(jobledger, id, 'COMPLETED');
    expect(last.result).toEqual({ first: 1, payload: 'by hand' });
    expect(await jobledger.job(newId())).toBeNull();
    await expect(jobledger.query('{ nothing }')).rejects.toMatchObject({
      name: 'JobledgerError',
      message: expect.stringContaining('nothing') as string,
    });
  }, 60_000);
});

/** The job when it has come to that status. */
async function statusOf(
  jobledger: ReturnType<typeof createClient>,
  id: string,
  status: Job['status'],
): Promise<Job> {
  for await (const job of jobledger.follow(id)) if (job.status === status) return job;
  throw new Error(`Job ${id} ended, and was never ${status}`);
}

/** Appends signals, each an event of the log. */
async function append(count: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    const id = newId();
    await service.core.store.append({
      streamId: id,
      expected: 0,
      events: [
        {
          id: newId(),
          type: 'SignalReceived',
          at: new Date(),
          data: { event: 'x', key: id, payload: done },
        },
      ],
    });
  }
}

/** The same numbers in each run of the test. */
function random(seed: number) {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

describe('events', () => {
  test('are the log, gapless and without repeats, over 100 disconnects', async () => {
    const next = random(7);
    const lost: string[] = [];
    const jobledger = client({
      url: proxy.urlOf(service.api),
      onDisconnect: ({ error }) => lost.push(error.code),
    });
    await append(300);
    const positions: number[] = [];
    let cuts = 0;
    let untilCut = 1;
    const appending = new AbortController();
    const background = (async () => {
      while (!appending.signal.aborted) await append(20);
    })();
    try {
      for await (const { position } of jobledger.events({ after: 0n })) {
        positions.push(Number(position));
        if (--untilCut > 0) continue;
        if (cuts === 100) break;
        untilCut = 1 + Math.floor(next() * 30);
        cuts++;
        // Now, or while the next connection is being made.
        if (next() < 0.5) proxy.cut();
        else
          setTimeout(() => {
            proxy.cut();
          }, next() * 20);
      }
    } finally {
      appending.abort();
      await background;
    }
    expect(positions).toEqual(positions.map((_, index) => index + 1));
    expect(cuts).toBe(100);
    expect(lost.length).toBeGreaterThan(50);
    expect(new Set(lost)).toEqual(new Set(['UNREACHABLE']));
  }, 180_000);

  test('from now on leave no gap when the connection is lost before the first of them', async () => {
    await append(3);
    const subscribed = gate();
    class Telling extends WebSocket {
      override send(data: string): void {
        super.send(data);
        if (data.includes('jobEvents')) subscribed.open();
      }
    }
    const lost = gate();
    const jobledger = client({
      url: proxy.urlOf(service.api),
      webSocketImpl: Telling,
      onDisconnect: () => {
        lost.open();
      },
    });
    const head = Number(await service.core.store.head());
    const stream = jobledger.events({ types: ['SignalReceived'] });
    const first = stream.next();
    await subscribed.opened;
    proxy.cut();
    proxy.pause();
    await lost.opened;
    await append(2);
    proxy.resume();
    expect(Number((await first).value?.position)).toBe(head + 1);
    expect(Number((await stream.next()).value?.position)).toBe(head + 2);
    await stream.return?.();
  }, 60_000);

  test('can be of one job and of some types', async () => {
    const jobledger = client();
    const { id } = await jobledger.requestJob(push);
    await statusOf(jobledger, id, 'PAUSED');
    await jobledger.cancelJob(id);
    const types: string[] = [];
    const wanted = ['JobRequested', 'JobCancelled'];
    for await (const event of jobledger.events({ after: '0', jobId: id, types: wanted })) {
      expect(event).toMatchObject({ jobId: id, data: expect.anything() as unknown });
      types.push(event.type);
      if (types.length === 2) break;
    }
    expect(types).toEqual(wanted);
  }, 60_000);

  test('wait for a reader that is slow, and miss nothing of a long log', async () => {
    await append(1_500);
    const jobledger = client();
    const positions: number[] = [];
    const head = Number(await service.core.store.head());
    for await (const { position } of jobledger.events({ after: 0n })) {
      positions.push(Number(position));
      // Long enough for all of the log to arrive.
      if (positions.length === 1) await sleep(1_000);
      if (positions.length === head) break;
    }
    expect(positions).toEqual(positions.map((_, index) => index + 1));
  }, 120_000);

  test('end with the client, with the signal, and with the reader who leaves', async () => {
    const jobledger = client();
    const controller = new AbortController();
    const bySignal = jobledger.events({ signal: controller.signal });
    const byClient = jobledger.events();
    const left = jobledger.events();
    const ends = [bySignal.next(), byClient.next(), left.next()];
    await left.return?.();
    controller.abort();
    expect(await Promise.race([ends[0], ends[2]])).toEqual({ done: true, value: undefined });
    jobledger.close();
    expect(await Promise.all(ends)).toEqual(ends.map(() => ({ done: true, value: undefined })));
    expect(await jobledger.events().next()).toEqual({ done: true, value: undefined });
  }, 60_000);
});

describe('follow', () => {
  test('gives each version once and in order over disconnects, and ends with the job', async () => {
    const again = gate();
    let hasCut = false;
    class Telling extends WebSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol);
        this.addEventListener('message', ({ data }) => {
          if (hasCut && typeof data === 'string' && data.includes('"jobUpdated"')) again.open();
        });
      }
    }
    const jobledger = client({ url: proxy.urlOf(service.api), webSocketImpl: Telling });
    const { id } = await jobledger.requestJob(push);
    await statusOf(client(), id, 'PAUSED');
    const follow = jobledger.follow(id);
    const versions = [(await follow.next()).value?.version ?? 0];
    hasCut = true;
    proxy.cut();
    // Only when the job has come a second time as it was does it go on.
    void again.opened.then(() => client().sendSignal('go', { key: id }));
    let status = '';
    for await (const job of follow) {
      versions.push(job.version);
      ({ status } = job);
    }
    expect(status).toBe('COMPLETED');
    expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b));
  }, 60_000);

  test('of a job that does not exist throws, and so does what never can be right', async () => {
    await expect(client().follow('nothing').next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const elsewhere = client({ url: `${service.ingress}/api` });
    await expect(elsewhere.follow('x').next()).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(elsewhere.job('x')).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('check `url`') as string,
    });
    expect(() => client({ url: 'nowhere' })).toThrow('"nowhere" is no URL');
  }, 60_000);
});

/** An API of its own over the same log, which can go away and come back. */
async function startApi(change: Partial<Service['core']['config']>) {
  const stopping = new AbortController();
  const port = gate<number>();
  const core = { ...service.core, config: { ...service.core.config, ...change } };
  const catalog = { workflows: new Map(), plan: () => [], planOf: () => null, schedules: [] };
  const ended = runApi(
    { core, catalog, host: '127.0.0.1', onListening: port.open },
    stopping.signal,
  );
  ended.catch(port.fail);
  return {
    url: `http://127.0.0.1:${String(await port.opened)}`,
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}

describe('the server', () => {
  test('may go away and come back: streams go on where they were', async () => {
    const apiPort = await freePort();
    let api = await startApi({ apiPort });
    const away = gate();
    const jobledger = client({
      url: api.url,
      onDisconnect: ({ failures }) => {
        if (failures >= 3) away.open();
      },
    });
    const after = await service.core.store.head();
    const events = jobledger.events({ after });
    await append(1);
    expect(BigInt((await events.next()).value?.position)).toBe(after + 1n);
    const next = events.next();
    await api.stop();
    await away.opened;
    await append(2);
    await expect(jobledger.job('x')).rejects.toMatchObject({ code: 'UNREACHABLE' });
    api = await startApi({ apiPort });
    expect(BigInt((await next).value?.position)).toBe(after + 2n);
    expect(BigInt((await events.next()).value?.position)).toBe(after + 3n);
    await events.return?.();
    await api.stop();
  }, 120_000);

  test('may fall silent without a word: the connection counts as lost', async () => {
    const silent = await startProxy(Number(new URL(service.api).port));
    const lost = gate();
    const jobledger = client({
      url: silent.urlOf(service.api),
      silenceMs: 300,
      onDisconnect: () => {
        lost.open();
      },
    });
    const after = await service.core.store.head();
    const events = jobledger.events({ after });
    await append(1);
    await events.next();
    const next = events.next();
    silent.pause();
    await lost.opened;
    await append(1);
    silent.resume();
    expect(BigInt((await next).value?.position)).toBe(after + 2n);
    await events.return?.();
    await silent.close();
  }, 60_000);

  test('that stays away is given up after as many tries as are allowed', async () => {
    const url = `http://127.0.0.1:${String(await freePort())}`;
    const jobledger = client({ url, retry: { attempts: 2, firstDelayMs: 1 } });
    await expect(jobledger.events({ after: 0n }).next()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining(url.slice('http://'.length)) as string,
    });
  }, 60_000);

  test('that does not know the key says so at once, to calls and to streams', async () => {
    const api = await startApi({
      apiPort: 0,
      apiKeys: [{ name: 'reader', role: 'viewer', key: 'right' }],
    });
    const refused = { code: 'UNAUTHENTICATED' };
    for (const wrong of [client({ url: api.url, key: 'wrong' }), client({ url: api.url })]) {
      await expect(wrong.job('x')).rejects.toMatchObject(refused);
      await expect(wrong.events().next()).rejects.toMatchObject(refused);
      await expect(wrong.events({ after: 0n }).next()).rejects.toMatchObject(refused);
      await expect(wrong.follow('x').next()).rejects.toThrow('closed with 4403');
    }
    const right = client({ url: `${api.url}/graphql`, key: 'right' });
    expect((await right.events({ after: 0n }).next()).value).toMatchObject({ position: '1' });
    await expect(right.requestJob(push)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await api.stop();
  }, 120_000);
});
