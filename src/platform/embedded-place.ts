import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import type { Logger } from './logger.ts';
import type { PostgresPrograms } from './postgres-programs.ts';
import { type UnprivilegedUser, unprivilegedUser } from './unprivileged-user.ts';

type Account = Pick<UnprivilegedUser, 'uid' | 'gid'>;

/** Where an embedded Postgres keeps its data, and whom it runs as; null: as this process. */
export type Place = Readonly<{ data: string; account: Account | null }>;

// Only root writes here, and only when the wanted folders are closed to the account that Postgres runs as.
const OPEN_TO_ALL = '/var/lib/jobledger';

/**
 * `<dataDir>/postgres`, but when this process is root, Postgres runs as another account, which may not be let into a
 * folder such as /root: then a folder of its own under /var/lib.
 */
export function choosePlace(dataDir: string, logger: Logger): Place {
  const wanted = join(resolve(dataDir), 'postgres');
  if (process.getuid?.() !== 0) return { data: wanted, account: null };
  const existing = [wanted, elsewhere(wanted)].find((folder) => existsSync(folder));
  const account = existing === undefined ? chooseAccount() : ownerOf(existing);
  mkdirSync(resolve(dataDir), { recursive: true });
  const isOpen = account === null || canEnter(resolve(dataDir), account);
  const data = existing ?? (isOpen ? wanted : elsewhere(wanted));
  if (data !== wanted) {
    logger.info(
      `Postgres doesn't run as root, and only root is let into ${dataDir}: its data is in ${data}`,
    );
  }
  return { data, account };
}

const chooseAccount = (): Account | null => unprivilegedUser(['postgres', 'node', 'nobody']);

/** Makes an empty folder that belongs to the account. */
export function makeFolder(folder: string, account: Account | null): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  mkdirSync(folder, { mode: 0o700 });
  if (account !== null) chownSync(folder, account.uid, account.gid);
}

/** The programs at a place where the account may run them: a copy, when they lie in a closed folder. */
export function reachablePrograms(
  { bin, major }: PostgresPrograms,
  account: Account | null,
): PostgresPrograms {
  if (account === null || canEnter(bin, account)) return { bin, major };
  const copy = elsewhere(`${bin}/${major}`);
  if (!existsSync(copy)) {
    const unfinished = `${copy}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    cpSync(join(bin, '..'), unfinished, { recursive: true, verbatimSymlinks: true });
    execFileSync('chmod', ['-R', 'a+rX', unfinished]);
    renameSync(unfinished, copy);
  }
  return { bin: join(copy, 'bin'), major };
}

/** A folder under /var/lib for each folder that could not be used itself. */
function elsewhere(folder: string): string {
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 10);
  return join(OPEN_TO_ALL, `${basename(folder)}-${hash}`);
}

function ownerOf(folder: string): Account | null {
  const { uid, gid } = statSync(folder);
  return uid === 0 ? null : { uid, gid };
}

/** Whether the account may enter the folder and every folder above it. */
function canEnter(folder: string, { uid, gid }: Account): boolean {
  const { mode, uid: owner, gid: group } = statSync(folder);
  const shift = owner === uid ? 6 : group === gid ? 3 : 0;
  const isOpen = ((mode >> shift) & 0o1) === 1;
  return isOpen && (dirname(folder) === folder || canEnter(dirname(folder), { uid, gid }));
}
