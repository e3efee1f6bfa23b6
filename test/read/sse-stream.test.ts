import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';

import { expect, test } from 'vitest';

import { SseStream } from '../../src/read/graphql/sse-stream.ts';

/** A response that takes nothing until it is told to. */
class Response extends EventEmitter {
  writable = true;
  closed = false;
  readonly texts: string[] = [];
  private readonly waiting: (() => void)[] = [];

  write(text: string, done: () => void): void {
    this.texts.push(text);
    this.waiting.push(done);
  }

  takeOne(): void {
    this.waiting.shift()?.();
  }
}

async function* messages(count: number): AsyncGenerator<string> {
  yield ':\n\n';
  for (let number = 1; number <= count; number++) yield `event: next\ndata: ${String(number)}\n\n`;
}

test('gives each message the id that it was announced with, and heartbeats none', async () => {
  const response = new Response();
  const stream = new SseStream(response as unknown as ServerResponse);
  stream.place.given = 41n;
  await stream.next();
  stream.place.given = null;
  await stream.next();
  const sent = stream.send(messages(2));
  const taking = setInterval(() => {
    response.takeOne();
  }, 1);
  await sent;
  clearInterval(taking);
  expect(response.texts).toEqual([
    ':\n\n',
    'id: 41\nevent: next\ndata: 1\n\n',
    'event: next\ndata: 2\n\n',
  ]);
});

test('lets a source wait while its reader takes nothing, until that one goes', async () => {
  const response = new Response();
  const stream = new SseStream(response as unknown as ServerResponse);
  for (let number = 0; number < 16; number++) await stream.next();
  let asked = false;
  const more = stream.next().then(() => (asked = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBe(false);
  response.closed = true;
  response.emit('close');
  await more;
});
