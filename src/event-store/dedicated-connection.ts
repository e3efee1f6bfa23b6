import { createHash } from 'node:crypto';
import { Socket } from 'node:net';

import { Client } from 'pg';

import { type Queryable, type Row, connectionOptions } from '../platform/database.ts';
import type { Statement } from '../platform/sql.ts';
import { isLostPreparation } from './postgres-errors.ts';

/** One connection of its own, for what a pool cannot give: locks of a session, LISTEN, one statement at a time. */
export class DedicatedConnection implements Queryable {
  private readonly loss = new AbortController();
  private turn: Promise<unknown> = Promise.resolve();
  private readonly names = new Map<string, string>();
  /** Whether statements are prepared: saves a tenth of a small append. Not behind a pooler that forgets them. */
  private prepares = true;

  private constructor(
    private readonly client: Client,
    private readonly socket: Socket,
  ) {
    client.on('error', () => {
      this.destroy();
    });
    client.on('end', () => {
      this.destroy();
    });
  }

  /** Connects, and sets the server's parameters given, for the session. */
  static async open(
    url: string,
    applicationName: string,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<DedicatedConnection> {
    const socket = new Socket();
    const client = new Client({ ...connectionOptions(url, applicationName), stream: () => socket });
    const connection = new DedicatedConnection(client, socket);
    try {
      await client.connect();
      for (const [name, value] of Object.entries(settings)) {
        await client.query('select set_config($1, $2, false)', [name, value]);
      }
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** Aborts when the connection is gone, whoever ended it. */
  get lost(): AbortSignal {
    return this.loss.signal;
  }

  /** Statements go one after the other, also when they are asked for at once, and are prepared where that lasts. */
  query<R extends Row = Row>(statement: Statement): Promise<readonly R[]> {
    const answer = this.turn.then(() => this.run<R>(statement));
    this.turn = answer.catch(() => {
      // For whoever asked, not for whoever comes next.
    });
    return answer;
  }

  private async run<R extends Row>({ text, values }: Statement): Promise<readonly R[]> {
    const prepared = this.prepares && { name: this.nameOf(text) };
    try {
      const { rows } = await this.client.query<R>({ text, values: [...values], ...prepared });
      return rows;
    } catch (error) {
      if (!prepared || !isLostPreparation(error)) throw error;
      this.prepares = false;
      return this.run({ text, values });
    }
  }

  /** The name says the text, so that it can mean no other statement, whoever prepared it on a server's connection. */
  private nameOf(text: string): string {
    const known = this.names.get(text);
    if (known !== undefined) return known;
    const name = `jl_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
    this.names.set(text, name);
    return name;
  }

  /** Calls `listener` for each notification on a channel that was listened to. */
  onNotification(listener: (fromOwnConnection: boolean) => void): void {
    const { processID } = this.client as unknown as { processID: number | null };
    this.client.on('notification', (message) => {
      listener(message.processId === processID);
    });
  }

  /** Drops the connection at once, whatever runs on it; what waits for an answer is rejected. */
  destroy(): void {
    this.socket.destroy();
    this.loss.abort();
  }

  /** Says goodbye to the server, which frees the locks of the session at once. */
  async close(): Promise<void> {
    if (this.lost.aborted) return;
    const timer = setTimeout(() => {
      this.destroy();
    }, 1_000);
    await this.client.end().catch(() => {
      // It is gone either way.
    });
    clearTimeout(timer);
    this.destroy();
  }
}
