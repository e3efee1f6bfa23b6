import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { defineWorkflow, NonRetriable } from '../../src/sdk/index.ts';
import { eventually } from '../support/eventually.ts';
import { SECRET, type Service, startService } from '../support/service.ts';
import { deliver, push } from '../support/webhooks.ts';

const KEY = 'o'.repeat(16);
const waits = defineWorkflow({
  name: 'waits',
  on: [{ event: 'tag' }],
  run: ({ waitForEvent }) => waitForEvent('go'),
});
const asks = defineWorkflow({
  name: 'asks',
  on: [{ event: 'tag' }],
  run: ({ approval }) => approval('release'),
});
const fails = defineWorkflow({
  name: 'fails',
  on: [{ event: 'push' }],
  run: () => {
    throw new NonRetriable('no');
  },
});

let service: Service;
beforeAll(async () => {
  service = await startService({
    env: { API_KEYS: `olga:operator:${KEY}` },
    workflows: [waits, asks, fails],
  });
});
afterAll(async () => {
  await service.stop();
});

async function ask<T>(query: string, variables: object = {}): Promise<T> {
  const response = await fetch(`${service.api}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await response.json()) as { data: T; errors?: unknown };
  expect(errors).toBeUndefined();
  return data;
}

/** A job of the workflow in this status. */
async function jobThat(workflow: string, status: string): Promise<string> {
  const { requestJob } = await ask<{ requestJob: { job: { id: string } } }>(
    `mutation { requestJob(input: { workflow: "${workflow}", repository: "o/r" }) { job { id } } }`,
  );
  const { id } = requestJob.job;
  await reaches(id, status);
  return id;
}

const reaches = (id: string, status: string) =>
  eventually(
    async () => {
      expect(await ask(`{ job(id: "${id}") { status } }`)).toEqual({ job: { status } });
    },
    { timeoutMs: 60_000 },
  );

async function cancelled(): Promise<string> {
  const id = await jobThat('waits', 'PAUSED');
  await ask(`mutation { cancelJob(id: "${id}") { errors { code } } }`);
  return id;
}

/** A delivery whose job has failed. */
async function failedDelivery(): Promise<string> {
  const response = await deliver(service.ingress, push(), { secret: SECRET });
  const { deliveryId, jobs } = (await response.json()) as {
    deliveryId: string;
    jobs: { id: string; workflow: string }[];
  };
  const failing = jobs.find(({ workflow }) => workflow === 'fails');
  await reaches(failing?.id ?? '', 'FAILED');
  const { deliveries } = await ask<{ deliveries: { nodes: { id: string }[] } }>(
    `{ deliveries(filter: { search: "${deliveryId}" }) { nodes { id } } }`,
  );
  return deliveries.nodes[0]?.id ?? '';
}

const bulk = (text: string) => async () => {
  // The list of jobs sees them a moment after the log.
  await eventually(
    async () => {
      const { done } = await ask<{ done: { changed: number } }>(
        `mutation { done: ${text} { changed } }`,
      );
      expect(done.changed).toBeGreaterThan(0);
    },
    { timeoutMs: 60_000 },
  );
};

/** How each mutation changes something. null: it changes nothing that the log tells. */
const MUTATIONS: Readonly<Record<string, (() => Promise<unknown>) | null>> = {
  requestJob: () => jobThat('waits', 'PAUSED'),
  cancelJob: async () => {
    const id = await jobThat('waits', 'PAUSED');
    return () => ask(`mutation { cancelJob(id: "${id}") { errors { code } } }`);
  },
  retryJob: async () => {
    const id = await cancelled();
    return () => ask(`mutation { retryJob(id: "${id}") { errors { code } } }`);
  },
  resumeJob: async () => {
    const id = await jobThat('waits', 'PAUSED');
    return () => ask(`mutation { resumeJob(id: "${id}") { errors { code } } }`);
  },
  answerApproval: async () => {
    const id = await jobThat('asks', 'PAUSED');
    return () =>
      ask(`mutation { answerApproval(id: "${id}", approved: true) { errors { code } } }`);
  },
  sendSignal: () => ask('mutation { sendSignal(event: "other") { stored } }'),
  cancelJobs: async () => {
    await jobThat('waits', 'PAUSED');
    return bulk('cancelJobs(filter: { workflow: ["waits"] })');
  },
  retryJobs: async () => {
    await cancelled();
    return bulk('retryJobs(filter: { workflow: ["waits"] })');
  },
  redeliver: async () => {
    const id = await failedDelivery();
    return () => ask(`mutation { redeliver(deliveryId: "${id}") { errors { code } } }`);
  },
  redeliverMany: async () => {
    await failedDelivery();
    // Which deliveries have failed is seen a moment after the log, too.
    return () =>
      eventually(
        async () => {
          const { redeliverMany } = await ask<{ redeliverMany: { retried: number } }>(
            'mutation { redeliverMany(filter: { source: ["github"] }, onlyFailed: true) { retried } }',
          );
          expect(redeliverMany.retried).toBeGreaterThan(0);
        },
        { timeoutMs: 60_000 },
      );
  },
  pauseSchedule: null,
  resumeSchedule: null,
  redriveDeadLetters: null,
};

describe('the log names who did it', () => {
  test('for every mutation that there is', async () => {
    const { __type } = await ask<{ __type: { fields: { name: string }[] } }>(
      '{ __type(name: "Mutation") { fields { name } } }',
    );
    expect(__type.fields.map(({ name }) => name).toSorted()).toEqual(
      Object.keys(MUTATIONS).toSorted(),
    );
  });

  test.each(
    Object.entries(MUTATIONS).flatMap(([name, act]) => (act ? [[name, act] as const] : [])),
  )('%s', { timeout: 120_000 }, async (_, prepare) => {
    let after = await service.core.store.head();
    const act = await prepare();
    if (typeof act === 'function') {
      after = await service.core.store.head();
      await (act as () => Promise<unknown>)();
    }
    const events = await service.core.store.readAll({ after, limit: 1_000 });
    expect(events.map(({ metadata }) => metadata.actor)).toContain('olga');
  });
});
