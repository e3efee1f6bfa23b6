import { WebSocket } from 'ws';

import { quantile } from '../benchmark.ts';

// Many clients, each with one WebSocket and one `jobUpdated`, in a process of their own.

export type SubscribersOrder =
  | Readonly<{ do: 'open'; port: number; firstAddress: number; jobIds: readonly string[] }>
  | Readonly<{ do: 'report' }>;

export type SubscribersReport = Readonly<{
  opened: number;
  /** Updates since the last report; the jobs' first looks are none. */
  received: number;
  /** From just before an event's append to its receipt, in ms. */
  p50: number;
  p99: number;
  max: number;
  /** Connections that ended. */
  lost: number;
}>;

const DOCUMENT = 'subscription ($id: ID!) { jobUpdated(id: $id) { id status version updatedAt } }';
/** What the API takes from one address, and how many may be on their way to it. */
const PER_ADDRESS = 10;
const AT_A_TIME = 50;

type Message = Readonly<{
  type: string;
  payload?: Readonly<{ data?: Readonly<{ jobUpdated: Readonly<{ updatedAt: string }> }> }>;
}>;

let opened = 0;
let lost = 0;
let latencies: number[] = [];

/** Resolves when the job has been shown for the first time. */
function open(port: number, localAddress: string, id: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${String(port)}/graphql`, 'graphql-transport-ws', {
      localAddress,
      perMessageDeflate: false,
    });
    const send = (message: object): void => {
      socket.send(JSON.stringify(message));
    };
    let shown = false;
    socket.once('open', () => {
      send({ type: 'connection_init' });
    });
    socket.on('message', (data: Buffer) => {
      const { type, payload } = JSON.parse(data.toString()) as Message;
      if (type === 'connection_ack') {
        send({ type: 'subscribe', id: '1', payload: { query: DOCUMENT, variables: { id } } });
      } else if (type === 'ping') send({ type: 'pong' });
      else if (!payload?.data) reject(new Error(`Unexpected: ${data.toString()}`));
      else if (shown) latencies.push(Date.now() - Date.parse(payload.data.jobUpdated.updatedAt));
      else {
        shown = true;
        opened++;
        resolve();
      }
    });
    socket.on('close', (code) => {
      lost++;
      reject(new Error(`Closed: ${String(code)}`));
    });
    socket.on('error', reject);
  });
}

async function carryOut(order: SubscribersOrder): Promise<void> {
  if (order.do === 'open') {
    const left = order.jobIds.map((id, index) => ({ id, index })).toReversed();
    const openNext = async (): Promise<void> => {
      for (let next = left.pop(); next; next = left.pop()) {
        const address = order.firstAddress + Math.floor(next.index / PER_ADDRESS);
        const host = `127.0.${String(1 + (address >> 7))}.${String(1 + (address & 127))}`;
        await open(order.port, host, next.id);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, openNext));
  }
  const taken = latencies;
  latencies = [];
  process.send?.({
    opened,
    received: taken.length,
    p50: quantile(taken, 0.5),
    p99: quantile(taken, 0.99),
    max: taken.reduce((most, one) => Math.max(most, one), 0),
    lost,
  } satisfies SubscribersReport);
}

process.on('message', (order: SubscribersOrder) => {
  void carryOut(order);
});
