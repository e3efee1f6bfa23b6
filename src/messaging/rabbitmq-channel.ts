import type { Channel } from 'amqplib';

const CLOSE_TIMEOUT_MS = 2_000;

/** A channel whose end is always noticed, and whose errors never end the process. */
export type OpenChannel<C extends Channel> = Readonly<{
  channel: C;
  isOpen: () => boolean;
  /** Resolves when the channel is gone, with the reason if the server closed it. */
  closed: Promise<ChannelError | null>;
  /** Resolves when the server has taken everything that was sent, or the channel is gone; never rejects. */
  close: () => Promise<void>;
}>;

export type ChannelError = Error & Readonly<{ code?: number }>;

export async function openChannel<C extends Channel>(
  create: () => Promise<C>,
): Promise<OpenChannel<C>> {
  const channel = await create();
  let open = true;
  let reason: ChannelError | null = null;
  const closed = new Promise<ChannelError | null>((resolve) => {
    channel.on('error', (error: ChannelError) => {
      reason = error;
    });
    channel.on('close', () => {
      open = false;
      resolve(reason);
    });
  });
  return {
    channel,
    isOpen: () => open,
    closed,
    close: async () => {
      // amqplib never answers a close whose connection is lost meanwhile.
      if (open)
        await settledWithin(
          CLOSE_TIMEOUT_MS,
          attempt(() => channel.close()),
          closed,
        );
    },
  };
}

/** Runs what may throw or reject because the connection is gone, which the caller learns in another way. */
export async function attempt(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch {
    // The connection's own loop knows and logs the loss.
  }
}

/** Resolves with the first of the promises, or after `ms`. */
export async function settledWithin(
  ms: number,
  ...promises: readonly Promise<unknown>[]
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([...promises, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
