import { type Client, createClient } from 'graphql-ws/client';

import { JobledgerError, answered, unauthenticated, unreachable } from './errors.ts';
import { isPassing } from './http.ts';
import {
  type WebSocketConstructor,
  type WebSocketLike,
  watched,
  webSocketImpl,
} from './web-socket.ts';

export type ConnectionOptions = Readonly<{
  url: string;
  key: string | null;
  webSocketImpl?: WebSocketConstructor | undefined;
  /** How long the other side may be silent, and how long a connection may take. */
  silenceMs: number;
}>;

export type Subscription = Readonly<{ query: string; variables: Record<string, unknown> }>;

export type Receiver = Readonly<{
  next: (data: unknown) => void;
  /** The last call: with an error, or null when the server has ended the subscription. */
  end: (error: JobledgerError | null) => void;
}>;

/** One WebSocket and what belongs to it. Another socket is another client, so no event of one is taken for the other's. */
type Live = Readonly<{ client: Client; end: () => void }>;

/** The server closes a connection with more than this many. */
const MAX_SUBSCRIPTIONS = 100;

/** Subscriptions over one WebSocket, which is there while there are any. Brings nothing back by itself. */
export class Connection {
  private live: Live | null = null;
  private active = 0;

  constructor(private readonly options: ConnectionOptions) {}

  /** Gives what ends the subscription. */
  async subscribe(subscription: Subscription, receiver: Receiver): Promise<() => void> {
    const impl = await webSocketImpl(this.options.webSocketImpl);
    if (this.active >= MAX_SUBSCRIPTIONS) {
      throw new JobledgerError({
        code: 'TOO_MANY_STREAMS',
        message: `One client has up to ${String(MAX_SUBSCRIPTIONS)} streams at a time: end some, or follow all jobs with one \`events\``,
      });
    }
    this.live ??= this.open(impl);
    const { live } = this;
    let over = false;
    this.active++;
    const end = (error: JobledgerError | null): void => {
      if (over) return;
      over = true;
      this.active--;
      receiver.end(error);
    };
    const stop = live.client.subscribe(subscription, {
      next: ({ data, errors }) => {
        if (errors !== undefined) end(answered(errors));
        else receiver.next(data);
      },
      error: (cause) => {
        if (!Array.isArray(cause)) this.drop(live);
        end(this.failure(cause));
      },
      complete: () => {
        end(null);
      },
    });
    return () => {
      stop();
      end(null);
    };
  }

  close(): void {
    if (this.live !== null) this.drop(this.live);
  }

  private drop(live: Live): void {
    if (this.live === live) this.live = null;
    live.end();
  }

  private open(impl: WebSocketConstructor): Live {
    const { url, key, silenceMs } = this.options;
    let socket: WebSocketLike | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const expectWithin = (ms: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        client.terminate();
        end();
      }, ms);
    };
    const heard = (): void => {
      clearTimeout(timer);
    };
    const end = (): void => {
      heard();
      if (socket?.terminate) socket.terminate();
      else socket?.close();
    };
    const client = createClient({
      url,
      ...(key === null ? {} : { connectionParams: { authorization: `Bearer ${key}` } }),
      webSocketImpl: watched(impl, (made) => {
        socket = made;
      }),
      // Its own retries would ask for the same again, and not for what follows.
      retryAttempts: 0,
      keepAlive: silenceMs,
      on: {
        connecting: () => {
          expectWithin(silenceMs);
        },
        connected: heard,
        ping: (received) => {
          if (!received) expectWithin(silenceMs);
        },
        pong: heard,
        closed: heard,
        error: heard,
      },
    });
    return { client, end };
  }

  private failure(cause: unknown): JobledgerError {
    const { url, key } = this.options;
    // Of a GraphQL error message, the list of errors.
    if (Array.isArray(cause)) return answered(cause as Parameters<typeof answered>[0]);
    const { code, reason, message } = described(cause);
    if (code === 4403) return unauthenticated(url, key !== null);
    const status = Number(/Unexpected server response: (\d+)/.exec(message)?.[1] ?? 0);
    if (status >= 400 && !isPassing(status)) {
      return new JobledgerError(
        {
          code: 'REFUSED',
          message: `${url} answered ${String(status)} to a WebSocket: check \`url\``,
        },
        { cause },
      );
    }
    if (PROTOCOL_FAULTS.has(code)) {
      const text = `${url} closed the connection with ${String(code)} ${reason}`;
      return new JobledgerError({ code: 'REFUSED', message: text }, { cause });
    }
    return unreachable(
      `The connection to ${url} is lost: ${message || `${String(code)} ${reason}`}`,
      cause,
    );
  }
}

/** Closes of `graphql-transport-ws` that another try would only repeat. */
const PROTOCOL_FAULTS: ReadonlySet<number> = new Set([4400, 4401, 4406, 4409, 4429]);

/** A close event has a code and a reason, an error a message. */
function described(cause: unknown): Readonly<{ code: number; reason: string; message: string }> {
  const { code, reason, message } = cause as Readonly<Record<string, unknown>>;
  return {
    code: typeof code === 'number' ? code : 0,
    reason: typeof reason === 'string' ? reason : '',
    message: typeof message === 'string' ? message : '',
  };
}
