import { Socket } from 'node:net';

import { Client } from 'pg';

import { type Queryable, type Row, connectionOptions } from '../platform/database.ts';
import type { Statement } from '../platform/sql.ts';

/** One connection of its own, for what a pool cannot give: locks of a session, LISTEN, one statement at a time. */
export class DedicatedConnection implements Queryable {
  private readonly loss = new AbortController();
  private turn: Promise<unknown> = Promise.resolve();

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

  /** Statements go one after the other, also when they are asked for at once. */
  query<R extends Row = Row>(statement: Statement): Promise<readonly R[]> {
    const answer = this.turn.then(async () => {
      const { rows } = await this.client.query<R>(statement.text, [...statement.values]);
      return rows;
    });
    this.turn = answer.catch(() => {
      // For whoever asked, not for whoever comes next.
    });
    return answer;
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
