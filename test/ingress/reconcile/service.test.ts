import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { defineWorkflow } from '../../../src/sdk/index.ts';
import { eventually } from '../../support/eventually.ts';
import { run } from '../../support/program.ts';
import { SECRET, type Service, startService } from '../../support/service.ts';
import { push } from '../../support/webhooks.ts';
import { fakeGithub } from './fake-github.ts';
import { TOKEN } from './support.ts';

const PATIENCE_MS = 120_000;
const done = defineWorkflow({ name: 'done', run: async () => 'done' });
const PAYLOAD = push('acme/shop');

let folder: string;
let service: Service;
let github: Awaited<ReturnType<typeof fakeGithub>>;
let env: Record<string, string>;
let listening: Promise<Service>;

/** As GitHub does when it is asked to: the same body under the same id. */
async function sendAgain(): Promise<Response> {
  const { ingress } = await listening;
  const body = JSON.stringify(PAYLOAD);
  const signature = createHmac('sha256', SECRET).update(body).digest('hex');
  return fetch(`${ingress}/webhooks/shop`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': 'guid-lost',
      'x-hub-signature-256': `sha256=${signature}`,
    },
    body,
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jobledger-reconcile-'));
  github = await fakeGithub({
    url: 'https://hooks.example.com/webhooks/shop',
    sent: [{ id: '1', guid: 'guid-lost', at: new Date(Date.now() - 3_600_000), status: 0 }],
    onRedeliver: () => {
      void sendAgain();
    },
  });
  const path = join(folder, 'sources.json');
  const source = {
    name: 'shop',
    provider: 'github',
    secrets: [{ value: SECRET }],
    repositories: ['acme/shop'],
  };
  await writeFile(path, JSON.stringify([source]));
  env = { WEBHOOK_SOURCES: path, GITHUB_TOKEN: TOKEN, GITHUB_API_URL: github.apiUrl };
  listening = startService({ workflows: [done], env });
  service = await listening;
}, PATIENCE_MS);
afterAll(async () => {
  await service.stop();
  await github.close();
  await rm(folder, { recursive: true, force: true });
});

test(
  'a webhook that GitHub could not deliver comes again by itself, and starts its job once',
  async () => {
    type Found = { deliveries: { nodes: { deliveryId: string; jobs: { status: string }[] }[] } };
    await eventually(async () => {
      const { deliveries } = await service.query<Found>(
        '{ deliveries { nodes { deliveryId jobs { status } } } }',
      );
      expect(deliveries.nodes).toEqual([
        { deliveryId: 'guid-lost', jobs: [{ status: 'COMPLETED' }] },
      ]);
    });
    expect(github.redelivered).toEqual(['1']);
    const metrics = await service.core.metrics.registry.metrics();
    expect(metrics).toMatch(/jobledger_reconciled_total\{source="shop",what="delivery"\} 1/);
  },
  PATIENCE_MS,
);

test(
  'the command says what is missing, and does the same by hand',
  async () => {
    github.sent.unshift({ id: '2', guid: 'guid-2', at: new Date(Date.now() - 600_000) });
    const cli = (...args: string[]) =>
      run(['reconcile', ...args], {
        env: { DATABASE_URL: service.core.databaseUrl, ...env },
        cwd: folder,
      });
    const dry = await cli('--dry-run', '--json');
    expect(dry).toMatchObject({ code: 0 });
    expect(JSON.parse(dry.stdout)).toMatchObject([
      { source: 'shop', repositories: 1, deliveries: [{ deliveryId: 'guid-2' }], problems: [] },
    ]);
    expect(github.redelivered).toEqual(['1']);
    expect((await cli('--source', 'shop')).stdout).toContain('asked for again: guid-2');
    expect(github.redelivered).toEqual(['1', '2']);
    expect(await cli('--source', 'nobody')).toMatchObject({ code: 2 });
  },
  PATIENCE_MS,
);
