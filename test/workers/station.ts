import { tail } from '../../src/event-store/tail.ts';
import type { Recorded } from '../../src/events/event.ts';
import type { JobEvent } from '../../src/events/job.ts';
import { InProcessTransport } from '../../src/messaging/in-process-transport.ts';
import { jobHint } from '../../src/messaging/topology.ts';
import type { Queryable } from '../../src/platform/database.ts';
import type { Statement } from '../../src/platform/sql.ts';
import type { Workflow } from '../../src/sdk/index.ts';
import { type JobNotices, LOSS_TYPES } from '../../src/workers/running-jobs.ts';
import { Worker, type WorkerOptions } from '../../src/workers/worker.ts';
import { engine, silent } from './engine.ts';

/** A database that takes every statement, fails or hangs as it is told, and remembers what it was asked. */
class FakeDatabase implements Queryable {
  readonly statements: Statement[] = [];
  state: 'up' | 'down' | 'hanging' = 'up';

  query<R>(statement: Statement): Promise<readonly R[]> {
    if (this.state === 'hanging') return new Promise(() => {});
    if (this.state === 'down') return Promise.reject(new Error('connection refused'));
    this.statements.push(statement);
    return Promise.resolve([]);
  }

  matching(text: string): readonly Statement[] {
    return this.statements.filter((statement) => statement.text.includes(text));
  }
}

/** One log, one transport, and workers on them. */
export function station(workflows: readonly Workflow[]) {
  const parts = engine();
  const transport = new InProcessTransport({ logger: silent });
  const database = new FakeDatabase();
  const notices = noticesOf(parts);
  const running: { stop: AbortController; ended: Promise<void> }[] = [];

  return {
    ...parts,
    transport,
    database,

    start: (
      change: Partial<WorkerOptions> & Partial<WorkerOptions['config']> = {},
    ): Readonly<{ worker: Worker; stop: () => Promise<void> }> => {
      const { workerConcurrency = 2, leaseMs = 60_000, shutdownGraceMs = 10_000, ...rest } = change;
      const worker = new Worker({
        door: parts.door,
        transport,
        workflows: new Map(workflows.map((workflow) => [workflow.name, workflow])),
        database,
        notices,
        logger: silent,
        config: { workerConcurrency, leaseMs, shutdownGraceMs },
        version: 'test',
        ...rest,
      });
      const stop = new AbortController();
      const ended = worker.run(stop.signal);
      running.push({ stop, ended });
      return {
        worker,
        stop: async () => {
          stop.abort();
          await ended;
        },
      };
    },

    /** As the dispatcher does; for the version that the job has now unless another is given. */
    hint: async (
      jobId: string,
      kind: 'new' | 'resumed' = 'new',
      { workflow = 'review', version = 0 }: Readonly<{ workflow?: string; version?: number }> = {},
    ) => {
      const last = (await parts.store.readStream(jobId)).at(-1);
      const at = version || (last?.version ?? 1);
      await transport.publish({
        ...jobHint(workflow, kind),
        messageId: `${jobId}:${String(at)}`,
        body: { jobId, position: String(last?.position ?? 1), version: at },
        mandatory: true,
      });
    },

    /** The next event of the type, or the one that has been. */
    until: async <T extends JobEvent['type']>(
      jobId: string,
      type: T,
    ): Promise<Extract<Recorded<JobEvent>, { type: T }>> => {
      const enough = new AbortController();
      const { store, hints } = parts;
      for await (const page of tail<JobEvent>({ store, hints, after: 0n }, enough.signal)) {
        const found = page.find((event) => event.streamId === jobId && event.type === type);
        if (found === undefined) continue;
        enough.abort();
        return found as Extract<Recorded<JobEvent>, { type: T }>;
      }
      throw new Error('The log has ended');
    },

    close: async (): Promise<void> => {
      for (const { stop } of running) stop.abort();
      await Promise.all(running.map(({ ended }) => ended));
      await transport.close();
    },
  };
}

/** What the processes wire: the log's tail, as notices. */
const noticesOf = ({
  store,
  hints,
}: Pick<ReturnType<typeof engine>, 'store' | 'hints'>): JobNotices =>
  async function* (signal) {
    const after = await store.head();
    for await (const page of tail({ store, hints, after, types: LOSS_TYPES }, signal)) {
      yield page.map(({ streamId, type, position }) => ({ jobId: streamId, type, position }));
    }
  };
