import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

import type { Context } from './benchmark.ts';

/** The folder of the other programs that are measured; each runs as a process of its own there. */
export const PEERS = resolve('bench/peers');

export async function installPeers({ progress }: Pick<Context, 'progress'>): Promise<void> {
  const { dependencies } = JSON.parse(readFileSync(`${PEERS}/package.json`, 'utf8')) as {
    dependencies: Record<string, string>;
  };
  if (Object.keys(dependencies).every((name) => existsSync(`${PEERS}/node_modules/${name}`)))
    return;
  progress('installs the peers');
  await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: PEERS });
}
