import type { ServerResponse } from 'node:http';

import type { Place } from './context.ts';

/** So many messages may wait for a slow reader; then its source is not asked for more. */
const WAITING = 16;

/**
 * The messages of one stream on their way out. `Last-Event-ID` of a reader that comes back is the last id that it
 * was given here.
 */
export class SseStream {
  /** Where a subscription to the log is; nowhere for all others. */
  place: Place = { given: null, resumeAfter: null };
  private readonly ids: (bigint | null)[] = [];
  private wake: (() => void) | null = null;

  constructor(private readonly response: ServerResponse) {
    response.once('close', () => this.wake?.());
  }

  /** To be called before each message; resolves when there is room for it. */
  async next(): Promise<void> {
    while (this.ids.length >= WAITING && !this.response.closed) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.ids.push(this.place.given);
  }

  /** Writes everything that comes, until the reader goes. */
  async send(body: AsyncIterable<string>): Promise<void> {
    for await (const text of body) {
      if (!(await this.write(text))) return;
    }
  }

  private async write(text: string): Promise<boolean> {
    const isNext = text.startsWith('event: next');
    const id = isNext ? (this.ids.shift() ?? null) : null;
    const written = await new Promise<boolean>((resolve) => {
      if (!this.response.writable) resolve(false);
      else {
        this.response.write(id === null ? text : `id: ${String(id)}\n${text}`, (error) => {
          resolve(!error);
        });
      }
    });
    if (isNext) this.wake?.();
    return written;
  }
}
