import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

export type RawAnswer = Readonly<{
  status: number;
  headers: Readonly<Record<string, string>>;
  body: string;
  /** Whether the other side ended the connection. */
  closed: boolean;
}>;

/** A connection that sends exactly the bytes it is given. */
export class RawConnection {
  private received = '';
  private ended = false;

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.ended = true;
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.setNoDelay(true);
    return new RawConnection(socket);
  }

  async send(bytes: string | Buffer): Promise<void> {
    if (this.socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.socket.write(bytes, () => {
        resolve();
      });
    });
  }

  /** The next whole answer. */
  async answer(): Promise<RawAnswer> {
    for (;;) {
      const answer = parse(this.received);
      if (answer !== null) {
        this.received = this.received.slice(answer.length);
        return { ...answer.answer, closed: this.ended };
      }
      if (this.ended) throw new Error(`The connection ended after "${this.received}"`);
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')]);
    }
  }

  /** Waits until the other side has ended the connection. */
  async closed(): Promise<void> {
    if (!this.ended) await once(this.socket, 'close');
  }

  close(): void {
    this.socket.destroy();
  }
}

function parse(text: string): { answer: Omit<RawAnswer, 'closed'>; length: number } | null {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const length = end + 4 + Number(headers['content-length'] ?? 0);
  if (text.length < length) return null;
  const body = Buffer.from(text.slice(end + 4, length), 'latin1').toString('utf8');
  return { answer: { status: Number(statusLine.split(' ')[1]), headers, body }, length };
}

/** Sends one request on a connection of its own and gives the answer. */
export async function rawRequest(
  port: number,
  ...parts: readonly (string | Buffer)[]
): Promise<RawAnswer> {
  const connection = await RawConnection.open(port);
  try {
    for (const part of parts) await connection.send(part);
    return await connection.answer();
  } finally {
    connection.close();
  }
}
