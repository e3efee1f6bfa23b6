import { execFileSync } from 'node:child_process';
import { existsSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import {
  findPostgresPrograms,
  systemPostgresFolders,
} from '../../src/platform/postgres-programs.ts';

/** The folder of `initdb` and `postgres`; installed on the way if this machine lets us. */
export function postgresPrograms(): string {
  const find = (): string | null =>
    findFolder(['initdb', 'postgres'], [...path(), ...systemPostgresFolders()]);
  return (
    find() ??
    install('postgresql', find) ??
    // The one that comes with npm is real too, but it is of another version than those of servers.
    findPostgresPrograms()[0]?.bin ??
    fail('Postgres', 'DATABASE_URL', 'its programs "initdb" and "postgres" (Debian: postgresql)')
  );
}

/** The folders of `rabbitmq-server` with `rabbitmqctl`, and of `epmd`; installed on the way if this machine lets us. */
export function rabbitmqPrograms(): Readonly<{ rabbitmq: string; erlang: string }> {
  const find = (): Readonly<{ rabbitmq: string; erlang: string }> | null => {
    const rabbitmq = findFolder(
      ['rabbitmq-server', 'rabbitmqctl', 'rabbitmq-env'],
      rabbitmqFolders(),
    );
    const erlang = findFolder(['erl', 'epmd'], [...path(), '/usr/lib/erlang/bin']);
    return rabbitmq === null || erlang === null ? null : { rabbitmq, erlang };
  };
  return (
    find() ??
    install('rabbitmq-server', find) ??
    fail('RabbitMQ', 'RABBITMQ_URL', 'the program "rabbitmq-server" (Debian: rabbitmq-server)')
  );
}

/** There is no such server here, and none could be installed; the message says what to do. */
export class NoPrograms extends Error {
  override readonly name = 'NoPrograms';
}

function fail(server: string, variable: string, programs: string): never {
  throw new NoPrograms(
    `The tests need ${server}: install ${programs} or Docker Compose, or name a running one in ${variable}`,
  );
}

const path = (): string[] =>
  (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');

/** Debian puts wrappers on the PATH that run as the system's own node; the programs themselves lie elsewhere. */
function rabbitmqFolders(): string[] {
  return ['/usr/lib/rabbitmq/bin', ...path(), '/usr/local/sbin', '/opt/homebrew/sbin'];
}

function findFolder(programs: readonly string[], folders: readonly string[]): string | null {
  for (const folder of folders) {
    const [first = ''] = programs;
    if (!existsSync(join(folder, first))) continue;
    const real = dirname(realpathSync(join(folder, first)));
    if (programs.every((program) => existsSync(join(real, program)))) return real;
  }
  return null;
}

function install<T>(debianPackage: string, find: () => T | null): T | null {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return null;
  process.stderr.write(`The tests need ${debianPackage}: installing it with apt-get\n`);
  const apt = (...args: readonly string[]): void => {
    execFileSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  };
  try {
    withoutServices(() => {
      apt('update');
      apt('install', '-y', '--no-install-recommends', debianPackage);
    });
  } catch (error) {
    process.stderr.write(`apt-get failed: ${String(error)}\n`);
  }
  return find();
}

/** Packages of servers start them as a service; we want the programs only. */
function withoutServices(work: () => void): void {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return work();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    work();
  } finally {
    rmSync(policy, { force: true });
  }
}
