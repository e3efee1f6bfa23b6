import { quantile } from '../benchmark.ts';
import { Sender } from '../sender.ts';
import { largePush, requestFor, uniquePullRequest } from './payload.ts';

// The generator of load, a process of its own so that it takes no time from anybody else's thread: all requests are
// made and signed before the first one is sent.

export type LoadOrder = Readonly<{
  port: number;
  path: string;
  secret: string;
  kind: 'pull-request' | 'unsigned' | 'wrongly-signed' | 'large-push';
  connections: number;
  requests: number;
  /** null: each connection sends the next one when it has its answer. */
  perSecond: number | null;
}>;

export type LoadResult = Readonly<{
  seconds: number;
  /** How many were answered with each status. */
  statuses: Readonly<Record<string, number>>;
  /** In ms, from when each was due. */
  p50: number;
  p99: number;
  max: number;
}>;

function requestsOf(order: LoadOrder): readonly Buffer[] {
  const { path, secret, kind, requests } = order;
  if (kind === 'unsigned' || kind === 'wrongly-signed') {
    const request = requestFor({ path, secret: 'wrong', event: 'push', body: uniquePullRequest() });
    const bytes =
      kind === 'unsigned'
        ? Buffer.from(request.toString().replace(/x-hub-signature-256[^\r]*\r\n/, ''))
        : request;
    return Array.from({ length: requests }, () => bytes);
  }
  return Array.from({ length: requests }, () =>
    kind === 'large-push'
      ? requestFor({ path, secret, event: 'push', body: largePush(26_214_400) })
      : requestFor({ path, secret, event: 'pull_request', body: uniquePullRequest() }),
  );
}

async function carryOut(order: LoadOrder): Promise<LoadResult> {
  const requests = requestsOf(order);
  const senders = await Promise.all(
    Array.from({ length: order.connections }, () => Sender.open(order.port)),
  );
  const statuses: Record<string, number> = {};
  const latencies: number[] = [];
  const began = performance.now();
  let next = 0;
  const work = async (sender: Sender): Promise<void> => {
    while (next < requests.length) {
      const index = next++;
      const due = order.perSecond === null ? 0 : began + (index * 1000) / order.perSecond;
      const early = due - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const from = order.perSecond === null ? performance.now() : due;
      const status = await sender.send(requests[index] ?? Buffer.alloc(0));
      latencies.push(performance.now() - from);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(senders.map(work));
  const seconds = (performance.now() - began) / 1000;
  for (const sender of senders) sender.close();
  return {
    seconds,
    statuses,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    max: Math.max(...latencies),
  };
}

process.on('message', (order: LoadOrder) => {
  void carryOut(order).then((result) => process.send?.(result));
});
