import { createHmac, randomUUID } from 'node:crypto';

import { pino } from 'pino';

import { Ingress, type IngressOptions } from '../../../src/ingress/ingress.ts';
import type { IngressMetrics } from '../../../src/ingress/webhooks/ingress-metrics.ts';
import type { WebhookSource } from '../../../src/platform/webhook-sources.ts';
import type { PlannedJob } from '../../../src/write/door.ts';
import { RecordingDoor } from './recording-door.ts';

export const SECRET = "It's a sécret to everybody 🎉";

export function source(change: Partial<WebhookSource> = {}): WebhookSource {
  return {
    name: 'github',
    provider: 'github',
    secrets: [{ value: SECRET, expiresAt: null }],
    repositories: null,
    maxPerMinute: null,
    allowedIps: null,
    ...change,
  };
}

export const planned: PlannedJob = {
  workflow: 'review',
  priority: 5,
  concurrency: null,
  retry: { maxAttempts: 3, firstDelayMs: 1000, maxDelayMs: 60_000 },
};

/** Reviews pull requests that were opened or got new commits. */
export const plan: IngressOptions['plan'] = ({ event, action }) =>
  event === 'pull_request' && ['opened', 'synchronize', 'reopened'].includes(action)
    ? [planned]
    : [];

export class RecordingMetrics implements IngressMetrics {
  readonly counted: string[] = [];
  readonly hints: string[] = [];
  readonly seconds: number[] = [];

  countDelivery(name: string, outcome: string): void {
    this.counted.push(`${name} ${outcome}`);
  }

  countNotAuthentic(name: string, hint: string): void {
    this.hints.push(`${name} ${hint}`);
  }

  observeSeconds(seconds: number): void {
    this.seconds.push(seconds);
  }
}

export type TestIngress = Readonly<{
  port: number;
  url: string;
  recorded: RecordingDoor;
  metrics: RecordingMetrics;
  /** Every line of the log. */
  log: string[];
  close: () => Promise<void>;
}>;

/** An ingress on a free port whose deliveries are recorded. */
export async function startIngress(options: Partial<IngressOptions> = {}): Promise<TestIngress> {
  const recorded = new RecordingDoor();
  const metrics = new RecordingMetrics();
  const log: string[] = [];
  const app = Ingress.create({
    door: recorded.door,
    sources: [source()],
    plan,
    metrics,
    logger: pino({ level: 'debug' }, { write: (line: string) => log.push(line) }),
    ...options,
  });
  const port = await app.listen(0, '127.0.0.1');
  return {
    port,
    url: `http://127.0.0.1:${String(port)}`,
    recorded,
    metrics,
    log,
    close: () => app.close(),
  };
}

export const signature = (body: string | Buffer, secret = SECRET): string =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

/** The headers of a signed delivery of GitHub; null leaves one out. */
export function githubHeaders(
  body: string | Buffer,
  change: Readonly<Record<string, string | null>> = {},
): Record<string, string> {
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/0123abc',
    'x-github-event': 'pull_request',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': signature(body),
    ...change,
  };
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== null),
  );
}

export type Answered = Readonly<{
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}>;

/** Posts a body with these headers. */
export async function send(
  ingress: TestIngress,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer,
): Promise<Answered> {
  const response = await fetch(`${ingress.url}${path}`, {
    method: 'POST',
    headers,
    body: new Uint8Array(Buffer.from(body)),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

/** Posts a body that is signed as GitHub does. */
export const post = (
  ingress: TestIngress,
  body: string | Buffer,
  change: Readonly<Record<string, string | null>> = {},
  path = '/webhooks/github',
): Promise<Answered> => send(ingress, path, githubHeaders(body, change), body);

/** The smallest pull request that GitHub could have sent. */
export function pullRequestPayload(
  pullRequest: Readonly<Record<string, unknown>> = {},
  change: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const number = 'number' in pullRequest ? pullRequest['number'] : 2;
  return {
    action: 'opened',
    number,
    pull_request: {
      number,
      title: 'Mend the roof',
      html_url: 'https://github.com/acme/app/pull/2',
      head: { ref: 'roof', sha: 'a'.repeat(40), repo: { full_name: 'acme/app' } },
      base: { ref: 'main', sha: 'b'.repeat(40) },
      ...pullRequest,
    },
    repository: {
      id: 7,
      full_name: 'acme/app',
      html_url: 'https://github.com/acme/app',
      clone_url: 'https://github.com/acme/app.git',
    },
    sender: { login: 'ada' },
    nonce: randomUUID(),
    ...change,
  };
}

export const pullRequestBody = (...given: Parameters<typeof pullRequestPayload>): string =>
  JSON.stringify(pullRequestPayload(...given));
