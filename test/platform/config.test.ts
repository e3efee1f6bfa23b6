import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { ConfigError, VARIABLES, readConfig } from '../../src/platform/config.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'jobledger-config-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function mistakesOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

test('an empty environment has the defaults of the contract', () => {
  expect(readConfig({})).toEqual({
    databaseUrl: null,
    databaseReadUrl: null,
    databasePoolMax: null,
    rabbitmqUrl: null,
    redisUrl: null,
    host: null,
    ingressPort: 3332,
    apiPort: 3331,
    adminPort: 0,
    workflows: null,
    workerConcurrency: 10,
    leaseMs: 15_000,
    shutdownGraceMs: 25_000,
    redispatchAfterMs: 30_000,
    logLevel: 'info',
    dataDir: '.jobledger',
    cloneAllow: null,
    reporting: {},
    apiKeys: [],
    otlpEndpoint: null,
    eventStoreDbUrl: null,
    deliveries: { keepDays: null, keepMegabytes: null, rememberDays: 90 },
    reconcileEverySeconds: 300,
    jobKeepDays: null,
    privacyKey: null,
    projectionsOnPoison: 'pause',
    sources: [],
    trustedProxies: [],
    maxFailuresPerMinute: 600,
  });
});

test('an empty variable is one that is not set', () => {
  expect(readConfig({ DATABASE_URL: '', API_PORT: '', CLONE_ALLOW: '', DATA_DIR: '' })).toEqual(
    readConfig({}),
  );
});

test('every variable arrives at its place', () => {
  const config = readConfig({
    DATABASE_URL: 'postgres://u:p@db/jobledger',
    DATABASE_READ_URL: 'postgresql://replica/jobledger',
    DATABASE_POOL_MAX: '20',
    RABBITMQ_URL: 'amqps://mq',
    REDIS_URL: 'redis://cache',
    HOST: '0.0.0.0',
    INGRESS_PORT: '1',
    API_PORT: '2',
    ADMIN_PORT: '3',
    WORKFLOWS: './mine.js',
    WORKER_CONCURRENCY: '4',
    LEASE_MS: '5000',
    SHUTDOWN_GRACE_MS: '0',
    REDISPATCH_AFTER_MS: '600',
    LOG_LEVEL: 'debug',
    DATA_DIR: '/data',
    CLONE_ALLOW: 'https://git.example/ https://other.example/x',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel:4318',
    EVENTSTOREDB_URL: 'esdb://a:2113,b:2113?tls=false',
    JOB_KEEP_DAYS: '30',
    PRIVACY_KEY: 'p'.repeat(32),
  });
  expect(config).toMatchObject({
    databaseUrl: 'postgres://u:p@db/jobledger',
    databaseReadUrl: 'postgresql://replica/jobledger',
    databasePoolMax: 20,
    rabbitmqUrl: 'amqps://mq',
    redisUrl: 'redis://cache',
    host: '0.0.0.0',
    ingressPort: 1,
    apiPort: 2,
    adminPort: 3,
    workflows: './mine.js',
    workerConcurrency: 4,
    leaseMs: 5000,
    shutdownGraceMs: 0,
    redispatchAfterMs: 600,
    logLevel: 'debug',
    dataDir: '/data',
    cloneAllow: ['https://git.example/', 'https://other.example/x'],
    otlpEndpoint: 'http://otel:4318',
    eventStoreDbUrl: 'esdb://a:2113,b:2113?tls=false',
    jobKeepDays: 30,
    privacyKey: 'p'.repeat(32),
  });
  expect(Object.isFrozen(config)).toBe(true);
});

test('all mistakes are reported together', () => {
  const mistakes = mistakesOf({
    DATABASE_URL: 'mysql://db',
    API_PORT: '70000',
    INGRESS_PORT: 'http',
    WORKER_CONCURRENCY: '0',
    LEASE_MS: '1500.5',
    LOG_LEVEL: 'loud',
    GITHUB_WEBHOOK_SECRET: '',
  });
  expect(mistakes.map((mistake) => mistake.split(':')[0])).toEqual([
    'DATABASE_URL',
    'INGRESS_PORT',
    'API_PORT',
    'WORKER_CONCURRENCY',
    'LEASE_MS',
    'LOG_LEVEL',
    'GITHUB_WEBHOOK_SECRET',
  ]);
});

test('no secret is in a message', () => {
  const secret = 'hunter2hunter2';
  writeFileSync(join(folder, 'sources.json'), `[{ "secrets": [{ "value": "${secret}" `);
  expect(() =>
    readConfig({
      DATABASE_URL: `mysql://u:${secret}@db`,
      RABBITMQ_URL: secret,
      API_KEYS: `name:owner:${secret} ${secret}`,
      WEBHOOK_SOURCES: join(folder, 'sources.json'),
    }),
  ).toThrow(expect.objectContaining({ message: expect.not.stringContaining(secret) }) as Error);
});

test('API keys have a name, a role and a key', () => {
  const key = 'k'.repeat(16);
  expect(readConfig({ API_KEYS: `ci:viewer:${key}, boss:admin:${key}:x` }).apiKeys).toEqual([
    { name: 'ci', role: 'viewer', key },
    { name: 'boss', role: 'admin', key: `${key}:x` },
  ]);
  expect(mistakesOf({ API_KEYS: 'ci:viewer:short' })).toEqual([
    expect.stringContaining('API_KEYS: entry 1 is not name:role:key'),
  ]);
});

test('a host is reported to when there is a token for it', () => {
  const given = {
    GITHUB_TOKEN: 'ghp_1',
    GITLAB_TOKEN: 'glpat-1',
    GITLAB_API_URL: 'https://gitlab.example/api/v4/',
    BITBUCKET_CLOUD_TOKEN: 'me@acme.example:1',
    BITBUCKET_DC_TOKEN: 'dc',
    BITBUCKET_DC_API_URL: 'https://bitbucket.example/rest',
    AZURE_REPOS_TOKEN: 'pat',
    AZURE_REPOS_API_URL: 'https://dev.azure.com/acme',
    FORGEJO_TOKEN: 'f',
    GITEA_API_URL: 'https://gitea.example/api/v1',
  };
  expect(readConfig(given).reporting).toEqual({
    github: { token: 'ghp_1', apiUrl: 'https://api.github.com' },
    gitlab: { token: 'glpat-1', apiUrl: 'https://gitlab.example/api/v4' },
    'bitbucket-cloud': { token: 'me@acme.example:1', apiUrl: 'https://api.bitbucket.org/2.0' },
    'bitbucket-dc': { token: 'dc', apiUrl: 'https://bitbucket.example/rest' },
    'azure-repos': { token: 'pat', apiUrl: 'https://dev.azure.com/acme' },
    forgejo: { token: 'f', apiUrl: 'https://codeberg.org/api/v1' },
  });
});

test('what cannot be reported with is a mistake, and no token is in it', () => {
  const token = 'hunter2 hunter2';
  const mistakes = mistakesOf({
    GITHUB_TOKEN: token,
    GITLAB_API_URL: 'gitlab.example',
    GITEA_TOKEN: 'x',
    GITEA_API_URL: 'https://me:secret@gitea.example/api/v1',
    FORGEJO_API_URL: 'https://forgejo.example/api/v1?token=x',
    AZURE_REPOS_TOKEN: 'x',
    BITBUCKET_DC_TOKEN: 'x',
  });
  expect(mistakes.map((mistake) => mistake.split(':')[0])).toEqual([
    'GITHUB_TOKEN',
    'GITLAB_API_URL',
    'BITBUCKET_DC_TOKEN',
    'AZURE_REPOS_TOKEN',
    'GITEA_API_URL',
    'FORGEJO_API_URL',
  ]);
  expect(mistakes.join()).not.toMatch(/hunter2|secret/);
});

test('.env.example lists every variable, and no other', () => {
  const text = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8');
  const listed = [...text.matchAll(/^(?:# )?([A-Z][A-Z_]+)=/gm)].map(([, name]) => name);
  expect(new Set(listed)).toEqual(new Set(VARIABLES));
});

test('.env.example explains every variable in a line of its own, and is valid as it is', () => {
  const text = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8');
  const set = Object.fromEntries(
    [...text.matchAll(/^([A-Z][A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
  expect(() => readConfig(set)).not.toThrow();
  const lines = text.split('\n');
  for (const name of Object.keys(set)) {
    const before = lines[lines.findIndex((line) => line.startsWith(`${name}=`)) - 1];
    expect(before).toMatch(/^# .*\.$/);
  }
});
