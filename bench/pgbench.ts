import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Transactions per second of one script. Throws, and says what to install, where pgbench is missing. */
export async function pgbench({
  programs,
  url,
  script,
  clients,
  seconds,
}: Readonly<{
  programs: string;
  url: string;
  script: string;
  clients: number;
  seconds: number;
}>): Promise<number> {
  const program = join(programs, 'pgbench');
  if (!existsSync(program)) {
    throw new Error(`${program} is missing: install it (Debian: postgresql-contrib or postgresql)`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'jobledger-pgbench-'));
  const file = join(folder, 'script.sql');
  writeFileSync(file, script.trim().replaceAll('\n', ' '));
  try {
    const { stdout } = await promisify(execFile)(program, [
      '--no-vacuum',
      '--protocol=prepared',
      `--client=${String(clients)}`,
      '--jobs=2',
      `--time=${String(seconds)}`,
      `--file=${file}`,
      url,
    ]);
    const [, tps] = /tps = ([\d.]+)/.exec(stdout) ?? [];
    if (tps === undefined) throw new Error(`pgbench did not say how fast it was:\n${stdout}`);
    return Number(tps);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
