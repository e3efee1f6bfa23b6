import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';

/**
 * What happens to the next thing a client says: it never arrives, it arrives and the answer does not come back,
 * it arrives and the line is cut at once, or nobody ever hears anything again on that line.
 */
export type Fault = 'before' | 'answer' | 'at-once' | 'silence';

/** Stands between a client and a server, and breaks the line at the worst moment. */
export class CuttingProxy {
  private readonly lines = new Set<Socket>();
  private armed: Fault | null = null;
  private refusing = false;

  private constructor(
    private readonly server: ReturnType<typeof createServer>,
    /** The server's address with the proxy in its place. */
    readonly url: string,
  ) {}

  static async before(serverUrl: string): Promise<CuttingProxy> {
    const target = new URL(serverUrl);
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(serverUrl);
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    const proxy = new CuttingProxy(server, url.href);
    server.on('connection', (client) => {
      proxy.join(client, connect(Number(target.port), target.hostname));
    });
    return proxy;
  }

  /** The fault happens once, to whoever speaks next. */
  arm(fault: Fault): void {
    this.armed = fault;
  }

  /** No new line is taken until `accept`. */
  refuse(): void {
    this.refusing = true;
    for (const line of this.lines) line.destroy();
  }

  accept(): void {
    this.refusing = false;
  }

  async close(): Promise<void> {
    for (const line of this.lines) line.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private join(client: Socket, server: Socket): void {
    let fault: Fault | null = null;
    const cut = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const line of [client, server]) {
      this.lines.add(line);
      line.setNoDelay(true);
      line.on('error', cut);
      line.on('close', () => {
        this.lines.delete(line);
        cut();
      });
    }
    if (this.refusing) cut();
    client.on('data', (said) => {
      if (this.armed) [fault, this.armed] = [this.armed, null];
      if (fault === 'silence') return;
      if (fault === 'before') cut();
      else server.write(said, fault === 'at-once' ? cut : undefined);
    });
    server.on('data', (answer) => {
      if (fault === 'answer') cut();
      else if (fault !== 'silence') client.write(answer);
    });
  }
}
