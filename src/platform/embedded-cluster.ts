import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { type Place, makeFolder, reachablePrograms } from './embedded-place.ts';
import { type PostgresPrograms, findPostgresPrograms } from './postgres-programs.ts';

/** The account of the database that owns everything in it. */
export const OWNER = 'jobledger';

/** The programs that can run the data at that place: of its version, if there is data already. */
export function choosePrograms({ data, account }: Place): PostgresPrograms {
  const found = findPostgresPrograms();
  const versionFile = join(data, 'PG_VERSION');
  const major = existsSync(versionFile) ? readFileSync(versionFile, 'utf8').trim() : null;
  const programs = found.find((each) => major === null || each.major === major);
  if (programs !== undefined) return reachablePrograms(programs, account);
  if (major === null || found.length === 0) {
    throw new Error(
      'There is no Postgres to start: name one in DATABASE_URL, install one, or run "npm install" without leaving out the optional dependencies',
    );
  }
  throw new Error(
    `The data in ${data} is of Postgres ${major}, but only ${found.map((each) => each.major).join(', ')} is here: install Postgres ${major}, or move the data away to begin anew`,
  );
}

/** The owner's password, random and readable by this process's account only. It is kept beside the data, wherever that is. */
export function ownPassword({ data }: Place): string {
  const file = `${data}-password`;
  mkdirSync(dirname(file), { recursive: true });
  if (!existsSync(file)) {
    writeFileSync(file, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' });
  }
  return readFileSync(file, 'utf8').trim();
}

/** Makes an empty cluster, whole or not at all: a start that is killed midway leaves nothing that looks like data. */
export async function initialise(
  { data, account }: Place,
  { bin, major }: PostgresPrograms,
  password: string,
): Promise<void> {
  const unfinished = `${data}.new`;
  const passwordFile = `${data}.password`;
  makeFolder(unfinished, account);
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (account !== null) chownSync(passwordFile, account.uid, account.gid);
  try {
    await promisify(execFile)(
      join(bin, 'initdb'),
      [
        `--pgdata=${unfinished}`,
        `--username=${OWNER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--no-locale',
        ...fastSync(major),
      ],
      { cwd: unfinished, ...(account && { uid: account.uid, gid: account.gid }) },
    );
    renameSync(unfinished, data);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    const printed = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    throw new Error(`Postgres could not make its folder ${data}: ${printed.trim()}`, {
      cause: error,
    });
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** One call for the whole file system instead of one per file: 3 s instead of 5 s on a loaded machine. */
const fastSync = (major: string): readonly string[] =>
  process.platform === 'linux' && Number(major) >= 17 ? ['--sync-method=syncfs'] : [];
