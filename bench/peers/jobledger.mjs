import { InProcessTransport } from '../../dist/messaging/in-process-transport.js';
import { findWaiting } from '../../dist/dispatch/waiting-jobs.js';
import { tail } from '../../dist/event-store/tail.js';
import { readConfig } from '../../dist/platform/config.js';
import { newId } from '../../dist/platform/ids.js';
import { createLogger } from '../../dist/platform/logger.js';
import { Metrics } from '../../dist/platform/metrics.js';
import { withCore } from '../../dist/processes/core.js';
import { openDoor } from '../../dist/processes/door.js';
import { runProjector } from '../../dist/processes/projector.js';
import { runWorker } from '../../dist/processes/worker.js';
import { defineWorkflow } from '../../dist/sdk/index.js';
import { DecideJob } from '../../dist/write/door.js';
import { Completions } from './counting.mjs';

/**
 * The projector's and the worker's role in one process, with all that they do: the history, the read models, the
 * dispatcher, the relay. Requests go through the write side, as those of the API do.
 */
export async function open({ databaseUrl, kind }) {
  const steps = kind === 'two-steps' ? 2 : 0;
  const workflow = defineWorkflow({
    name: 'bench',
    run: async (ctx) => {
      for (let step = 0; step < steps; step++) await ctx.step(`step-${step}`, () => step);
    },
  });
  const { core, close } = await openCore(databaseUrl);
  const stop = new AbortController();
  const catalog = {
    workflows: new Map([[workflow.name, workflow]]),
    plan: () => [],
    planOf: () => null,
  };
  const roles = [
    runProjector({ core, catalog }, stop.signal),
    runWorker({ core, catalog }, stop.signal),
  ];
  const { store, prompt, database } = core;
  const { door } = await openDoor({
    store,
    prompt,
    findWaiting: (event, key) => findWaiting(database, event, key),
  });
  const completions = new Completions();
  const awaited = new Map();
  void follow(core, stop.signal, (jobId) => {
    completions.one();
    awaited.get(jobId)?.();
    awaited.delete(jobId);
  });
  return {
    request: async () => {
      const jobId = newId();
      const ended = new Promise((resolve) => awaited.set(jobId, resolve));
      await door.execute(
        new DecideJob(jobId, { type: 'RequestJob', at: new Date(), data: REQUEST }),
      );
      // DBOS's callers await their own workflow, graphile-worker's only add.
      if (kind === 'two-steps') await ended;
    },
    completed: (jobs) => completions.after(jobs),
    close: async () => {
      stop.abort();
      await Promise.all(roles);
      close();
    },
  };
}

async function follow({ store, hints, logger }, signal, onCompleted) {
  const after = await store.head();
  for await (const page of tail({ store, hints, logger, after, types: ['JobCompleted'] }, signal)) {
    for (const { streamId } of page) onCompleted(streamId);
  }
}

/** What the roles of one process share, until `close`. */
function openCore(databaseUrl) {
  const logger = createLogger('error', 'start');
  const config = readConfig({
    DATABASE_URL: databaseUrl,
    WORKER_CONCURRENCY: '32',
    LOG_LEVEL: 'error',
  });
  return new Promise((resolve, reject) => {
    const stopping = new AbortController();
    withCore(
      {
        role: 'start',
        config,
        databaseUrl,
        logger,
        metrics: new Metrics(),
        stopping: stopping.signal,
        openTransport: () => Promise.resolve(new InProcessTransport({ logger })),
      },
      (core) =>
        new Promise((close) => {
          resolve({ core, close });
        }),
    ).catch(reject);
  });
}

const REQUEST = {
  workflow: 'bench',
  trigger: {
    provider: 'manual',
    source: 'bench',
    deliveryId: '',
    event: 'push',
    action: 'pushed',
    repository: { fullName: 'octo/bench', url: null, cloneUrl: null },
    pullRequest: null,
    ref: 'main',
    headSha: 'a'.repeat(40),
    baseSha: null,
    sender: null,
  },
  input: null,
  priority: 5,
  concurrency: null,
  retry: { maxAttempts: 3, firstDelayMs: 1_000, maxDelayMs: 1_000 },
  deliveryId: null,
};
