import { connect, type Socket } from 'node:net';

/** Sends one request at a time and gives how long the answer took to come. */
export class Sender {
  private answered: ((status: string) => void) | null = null;
  private received = '';

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
      this.look();
    });
  }

  static open(port: number): Promise<Sender> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => {
        resolve(new Sender(socket));
      });
      socket.once('error', reject);
    });
  }

  send(request: Buffer): Promise<string> {
    return new Promise((resolve) => {
      this.answered = resolve;
      this.socket.write(request);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private look(): void {
    const end = this.received.indexOf('\r\n\r\n');
    if (end === -1) return;
    const [, length = '0'] = /content-length: (\d+)/i.exec(this.received) ?? [];
    if (this.received.length < end + 4 + Number(length)) return;
    const status = this.received.slice(9, 12);
    this.received = '';
    this.answered?.(status);
  }
}
