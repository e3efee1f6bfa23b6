import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Config } from '../platform/config.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';

const FILE = 'github-webhook-secret';

/** The file with the secret that `start` made for the source `github`; null when it made none. */
export function madeSecretFile({ dataDir }: Pick<Config, 'dataDir'>): string | null {
  const path = join(dataDir, FILE);
  return existsSync(path) ? path : null;
}

function madeSecret(config: Pick<Config, 'dataDir'>): string | null {
  const path = madeSecretFile(config);
  return path === null ? null : readFileSync(path, 'utf8').trim();
}

/** A source `github` with a random secret that is kept in `DATA_DIR`, where none is configured. */
export function sampleSource({
  sources,
  dataDir,
}: Pick<Config, 'sources' | 'dataDir'>): readonly WebhookSource[] {
  if (sources.some(({ name }) => name === 'github')) return [];
  const value = madeSecret({ dataDir }) ?? makeSecret(dataDir);
  return [
    {
      name: 'github',
      provider: 'github',
      secrets: [{ value, expiresAt: null }],
      repositories: null,
      maxPerMinute: null,
      allowedIps: null,
    },
  ];
}

function makeSecret(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true });
  const secret = randomBytes(24).toString('base64url');
  writeFileSync(join(dataDir, FILE), `${secret}\n`, { mode: 0o600 });
  return secret;
}
