import { EventEmitter, once } from 'node:events';

import { expect, test } from 'vitest';

import { createLogger } from '../../src/platform/logger.ts';
import { shutdownSignal } from '../../src/platform/shutdown.ts';

class Program extends EventEmitter {
  exit(code: number): void {
    this.emit('exited', code);
  }
}

function start(graceMs: number): { program: Program; signal: AbortSignal; exits: number[] } {
  const program = new Program();
  const exits: number[] = [];
  program.on('exited', (code: number) => exits.push(code));
  const signal = shutdownSignal({ graceMs, logger: createLogger('silent', 'test'), program });
  return { program, signal, exits };
}

test.each(['SIGTERM', 'SIGINT'])('%s begins an orderly stop', (name) => {
  const { program, signal, exits } = start(60_000);
  expect(signal.aborted).toBe(false);
  program.emit(name, name);
  expect(signal.aborted).toBe(true);
  expect(exits).toEqual([]);
});

test('a second signal ends the process at once', () => {
  const { program, exits } = start(60_000);
  program.emit('SIGTERM', 'SIGTERM');
  program.emit('SIGINT', 'SIGINT');
  expect(exits).toEqual([1]);
});

test('a stop that takes longer than its grace ends the process', async () => {
  const { program } = start(10);
  const exited = once(program, 'exited');
  program.emit('SIGTERM', 'SIGTERM');
  // The grace timer alone does not keep a process alive; this one does until it fires.
  const alive = setTimeout(() => {}, 10_000);
  expect(await exited).toEqual([1]);
  clearTimeout(alive);
});
