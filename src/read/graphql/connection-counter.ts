import type { Socket } from 'node:net';

const MAX_PER_ADDRESS = 10;
const MAX_PER_PROCESS = 10_000;

type Closable = Readonly<{ once: (event: 'close', listener: () => void) => unknown }>;

/** Long-lived connections by remote address, WebSocket and SSE together. */
export class ConnectionCounter {
  private readonly byAddress = new Map<string, number>();
  private total = 0;

  get size(): number {
    return this.total;
  }

  /** Counts the connection until it closes; false when there are too many, of its address or in all. */
  admit({ remoteAddress = '' }: Pick<Socket, 'remoteAddress'>, connection: Closable): boolean {
    const count = this.byAddress.get(remoteAddress) ?? 0;
    if (count >= MAX_PER_ADDRESS || this.total >= MAX_PER_PROCESS) return false;
    this.byAddress.set(remoteAddress, count + 1);
    this.total++;
    connection.once('close', () => {
      this.total--;
      const left = (this.byAddress.get(remoteAddress) ?? 1) - 1;
      if (left === 0) this.byAddress.delete(remoteAddress);
      else this.byAddress.set(remoteAddress, left);
    });
    return true;
  }
}
