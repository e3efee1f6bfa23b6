/** What of a WebSocket is needed here: a browser's, Node's own, and that of `ws` have it. */
export type WebSocketLike = {
  close: (code?: number, reason?: string) => void;
  /** Of `ws`: without waiting for the other side. */
  terminate?: () => void;
  addEventListener: (type: 'error', listener: () => void) => void;
};

export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike;

/** The given one, else the platform's, else that of `ws` (Node before 22). */
export async function webSocketImpl(
  given: WebSocketConstructor | undefined,
): Promise<WebSocketConstructor> {
  const own = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  return given ?? own ?? (await import('ws')).WebSocket;
}

/** Tells of each socket that is made, and keeps one that is ended early from ending the process with its error. */
export function watched(
  Impl: WebSocketConstructor,
  onMade: (socket: WebSocketLike) => void,
): WebSocketConstructor {
  return class extends Impl {
    constructor(url: string, protocol: string) {
      super(url, protocol);
      // A socket of `ws` that is closed while it connects fails, and Node crashes if nobody hears of that.
      this.addEventListener('error', () => {});
      onMade(this);
    }
  };
}
