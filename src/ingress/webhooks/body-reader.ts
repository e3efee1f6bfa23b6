import type { IncomingMessage } from 'node:http';

import { Refused } from './problem.ts';

/** The sender hung up before its request was whole: there is nobody to answer. */
export class SenderGone extends Error {
  override readonly name = 'SenderGone';
}

export type BodyLimits = Readonly<{
  bytes: number;
  /** From now to the last byte. */
  deadlineMs: number;
  /** Called when the body is wanted: gives leave to send it. */
  invite?: () => void;
}>;

/**
 * Reads a request's body as the bytes that came, never inflated. Counts while it reads, so more than the
 * limit is never held; refuses a declared length before the first byte. Refuses with `body-too-large`,
 * `too-slow` or, when all bodies being read together would take too much memory, `unavailable`.
 */
export class BodyReader {
  private heldBytes = 0;

  constructor(private readonly maxHeldBytes: number) {}

  /** The body counts as held until `use` has ended. */
  async withBody<Result>(
    request: IncomingMessage,
    limits: BodyLimits,
    use: (body: Buffer) => Promise<Result>,
  ): Promise<Result> {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > limits.bytes) throw tooLarge(limits.bytes);
    limits.invite?.();
    const held = new Held((bytes) => this.take(bytes));
    try {
      return await use(await read(request, limits, held));
    } finally {
      this.heldBytes -= held.bytes;
    }
  }

  private take(bytes: number): void {
    if (this.heldBytes + bytes > this.maxHeldBytes) {
      throw new Refused(
        'unavailable',
        'Too many large bodies are being read: send it again later',
        {
          'retry-after': '5',
        },
      );
    }
    this.heldBytes += bytes;
  }
}

/** The bytes that one request has taken from what all may hold. */
class Held {
  bytes = 0;

  constructor(private readonly takeFromAll: (bytes: number) => void) {}

  take(bytes: number): void {
    this.takeFromAll(bytes);
    this.bytes += bytes;
  }
}

function read(request: IncomingMessage, limits: BodyLimits, held: Held): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const settle = (outcome: () => void): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      // A late error of a stream that nobody reads any more must not end the process.
      request.on('error', () => undefined);
      request.pause();
      outcome();
    };
    const onData = (chunk: Buffer): void => {
      try {
        if (held.bytes + chunk.length > limits.bytes) throw tooLarge(limits.bytes);
        held.take(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        settle(() => {
          reject(error);
        });
      }
    };
    const onEnd = (): void => {
      settle(() => {
        const [only] = chunks;
        resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks));
      });
    };
    const onGone = (): void => {
      settle(() => {
        reject(new SenderGone('The sender closed the connection before the body was whole'));
      });
    };
    const timer = setTimeout(() => {
      settle(() => {
        reject(tooSlow(limits.deadlineMs));
      });
    }, limits.deadlineMs);
    request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });
}

const tooLarge = (bytes: number): Refused =>
  new Refused(
    'body-too-large',
    `The body is longer than ${String(bytes)} bytes: this source takes no more`,
  );

const tooSlow = (deadlineMs: number): Refused =>
  new Refused(
    'too-slow',
    `The body did not arrive within ${String(deadlineMs / 1000)} s: send it faster`,
  );
