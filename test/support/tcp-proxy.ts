import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';

/** A network between a client and a server on this machine, which can fail. */
export type TcpProxy = Readonly<{
  port: number;
  /** The same URL, by way of the proxy. */
  urlOf(url: string): string;
  /** Breaks every connection at once; new ones are taken. */
  cut(): void;
  /** Lets nothing through in either direction, on new connections neither, without closing anything. */
  pause(): void;
  /** Lets through what was held up, and all that follows. */
  resume(): void;
  close(): Promise<void>;
}>;

/** Stands in front of a port of 127.0.0.1, on a free port of its own. */
export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isPaused = false;

  const server = createServer((client) => {
    const pair = [client, connect(targetPort, '127.0.0.1')] as const;
    const [, target] = pair;
    pairs.add(pair);
    for (const [from, to] of [pair, [target, client]] as const) {
      from.on('data', (bytes) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => {
        if (!isPaused) from.resume();
      });
      from.on('end', () => to.end());
      // Its `close` follows, which ends the other side too.
      from.on('error', () => {});
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
      if (isPaused) from.pause();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const cut = (): void => {
    for (const [client, target] of pairs) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
  };
  return {
    port,
    urlOf: (url) => {
      const proxied = new URL(url);
      proxied.hostname = '127.0.0.1';
      proxied.port = String(port);
      return proxied.href;
    },
    cut,
    pause: () => {
      isPaused = true;
      for (const socket of [...pairs].flat()) socket.pause();
    },
    resume: () => {
      isPaused = false;
      for (const socket of [...pairs].flat()) socket.resume();
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
}
