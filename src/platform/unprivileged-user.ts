import { readFileSync } from 'node:fs';

/** An account of this machine, as `spawn` and `chown` take it. */
export type UnprivilegedUser = Readonly<{ name: string; uid: number; gid: number }>;

/**
 * Who a database server should run as: the first of `names` that is an account here, or null when this process
 * isn't root and can run it itself. Postgres refuses to run as root.
 */
export function unprivilegedUser(names: readonly string[]): UnprivilegedUser | null {
  if (process.getuid?.() !== 0) return null;
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of names) {
    const [, , uid, gid] = accounts.find(([each]) => each === name) ?? [];
    if (uid !== undefined && uid !== '0') return { name, uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    `A database server can't run as root, and none of the accounts ${names.join(', ')} exists: add one with "useradd --system ${names[0] ?? ''}", or run as another user`,
  );
}
