import { fork } from 'node:child_process';
import { once } from 'node:events';

import type { Env, Target } from '../roles.ts';
import type { LoadOrder, LoadResult } from './load.ts';

const beside = (name: string): string => new URL(`./${name}.js`, import.meta.url).pathname;

export async function startPeer(kind: 'fastify' | 'nest', env: Env): Promise<Target> {
  const began = performance.now();
  const child = fork(beside('peer'), {
    env: { PATH: process.env['PATH'] ?? '', KIND: kind, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, port, startMs: performance.now() - began };
}

/** Sends what is ordered, from a process of its own. */
export async function load(order: LoadOrder): Promise<LoadResult> {
  const child = fork(beside('load'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.send(order);
  const [result] = (await once(child, 'message')) as [LoadResult];
  child.kill();
  return result;
}
