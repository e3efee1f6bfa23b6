import { quantile } from '../benchmark.ts';
import { Sender } from '../sender.ts';

// Posts the same body again and again, from a process of its own so that it takes no time from anybody else's thread.

export type PostOrder = Readonly<{
  port: number;
  path: string;
  body: string;
  connections: number;
  requests: number;
}>;

export type PostResult = Readonly<{
  perSecond: number;
  /** How many were not answered with 200. */
  failed: number;
  /** In ms. */
  p50: number;
  p99: number;
}>;

async function carryOut(order: PostOrder): Promise<PostResult> {
  const request = Buffer.from(
    `POST ${order.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
      `content-length: ${String(Buffer.byteLength(order.body))}\r\n\r\n${order.body}`,
  );
  const senders = await Promise.all(
    Array.from({ length: order.connections }, () => Sender.open(order.port)),
  );
  const latencies: number[] = [];
  let left = order.requests;
  let failed = 0;
  const work = async (sender: Sender): Promise<void> => {
    while (left-- > 0) {
      const from = performance.now();
      const status = await sender.send(request);
      latencies.push(performance.now() - from);
      if (status !== '200') failed++;
    }
  };
  const began = performance.now();
  await Promise.all(senders.map(work));
  const seconds = (performance.now() - began) / 1000;
  for (const sender of senders) sender.close();
  return {
    perSecond: order.requests / seconds,
    failed,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
  };
}

process.on('message', (order: PostOrder) => {
  void carryOut(order).then((result) => process.send?.(result));
});
