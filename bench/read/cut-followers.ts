import { setTimeout } from 'node:timers/promises';

import { type ClientOptions as SocketOptions, WebSocket } from 'ws';

import { type JobledgerClient, createClient } from '../../src/client/index.ts';

const FOLLOWERS = 20;
const CUTS_EACH = 5;

export type CutFollowers = Readonly<{
  cuts: number;
  events: number;
  missed: number;
  repeated: number;
}>;

/**
 * Programs that follow the log with the client while `write` writes to it, and whose sockets are cut at random, five
 * times each: how many events each missed or had twice, by the positions, which have no gaps.
 */
export async function cutFollowers(
  port: number,
  {
    head,
    write,
  }: Readonly<{ head: () => Promise<bigint>; write: (seconds: number) => Promise<number> }>,
): Promise<CutFollowers> {
  const from = await head();
  const followers = Array.from({ length: FOLLOWERS }, (_, index) => follower(port, index, from));
  const seconds = 10;
  const [events] = await Promise.all([
    write(seconds),
    ...followers.map((each) => each.cutSometimes(seconds)),
  ]);
  const to = await head();
  for (const each of followers) await each.reached(to);
  const counts = followers.map(({ positions }) => positions);
  for (const each of followers) each.close();
  const expected = Number(to - from);
  return {
    cuts: followers.reduce((sum, { cuts }) => sum + cuts(), 0),
    events,
    missed: counts.reduce((sum, own) => sum + expected - new Set(own).size, 0),
    repeated: counts.reduce((sum, own) => sum + own.length - new Set(own).size, 0),
  };
}

type Follower = Readonly<{
  positions: readonly bigint[];
  cuts: () => number;
  cutSometimes: (seconds: number) => Promise<void>;
  reached: (position: bigint) => Promise<void>;
  close: () => void;
}>;

function follower(port: number, index: number, after: bigint): Follower {
  let socket: WebSocket | null = null;
  let cuts = 0;
  // The API takes ten connections of an address.
  const options: SocketOptions = { localAddress: `127.0.200.${String(1 + index)}` };
  const client = createClient({
    url: `http://127.0.0.1:${String(port)}`,
    webSocketImpl: class extends WebSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol, options);
        // oxlint-disable-next-line typescript/no-this-alias
        socket = this;
      }
    },
  });
  const positions: bigint[] = [];
  void collect(client, after, positions);
  return {
    positions,
    cuts: () => cuts,
    cutSometimes: async (seconds) => {
      for (let cut = 0; cut < CUTS_EACH; cut++) {
        await setTimeout((Math.random() * 2 * seconds * 1_000) / (CUTS_EACH + 1));
        socket?.terminate();
        cuts++;
      }
    },
    reached: async (position) => {
      while ((positions.at(-1) ?? after) < position) await setTimeout(20);
    },
    close: client.close,
  };
}

async function collect(client: JobledgerClient, after: bigint, into: bigint[]): Promise<void> {
  for await (const { position } of client.events({ after })) into.push(BigInt(position));
}
