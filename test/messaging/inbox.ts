import type { Disposition, IncomingMessage, Transport } from '../../src/messaging/transport.ts';

type Handle = (
  message: IncomingMessage,
  earlier: readonly IncomingMessage[],
) => Promise<Disposition>;

/** A consumer that keeps what it was given, and can be waited for. */
export class Inbox {
  readonly received: IncomingMessage[] = [];
  private readonly stopping = new AbortController();
  private readonly waiters = new Set<() => void>();
  private readonly consuming: Promise<void>;

  constructor(
    transport: Transport,
    queue: string,
    private readonly options: Readonly<{ patienceMs: number; prefetch?: number; handle?: Handle }>,
  ) {
    this.consuming = transport.consume(
      {
        queue,
        prefetch: options.prefetch ?? 10,
        handle: async (message) => {
          const earlier = [...this.received];
          this.received.push(message);
          for (const check of this.waiters) check();
          return (await options.handle?.(message, earlier)) ?? 'ack';
        },
      },
      this.stopping.signal,
    );
  }

  get bodies(): unknown[] {
    return this.received.map(({ body }) => body);
  }

  /** Resolves when `count` messages have come. */
  async has(count: number): Promise<this> {
    await within(
      this.options.patienceMs,
      `message ${String(count)} of an inbox`,
      new Promise<void>((resolve) => {
        const check = (): void => {
          if (this.received.length < count) return;
          this.waiters.delete(check);
          resolve();
        };
        this.waiters.add(check);
        check();
      }),
    );
    return this;
  }

  /** Asks the consumer to end; resolves when it has. */
  async end(): Promise<void> {
    this.stopping.abort();
    await this.consuming;
  }
}

/** A promise that is resolved by hand. */
export class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => undefined;

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

/** Rejects when `promise` takes longer than any working server would. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`Waited ${String(ms)} ms in vain for ${what}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
