import { afterAll, beforeAll, expect, test } from 'vitest';

import { signal as signalDestination } from '../../src/messaging/topology.ts';
import { sql } from '../../src/platform/sql.ts';
import { eventually } from '../support/eventually.ts';
import { request } from '../support/jobs.ts';
import { type Service, startService } from '../support/service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
}, 60_000);
afterAll(async () => {
  await service.stop();
});

type Schedules = {
  schedules: { name: string; nextAt: string | null; pausedBy: string | null; input: unknown }[];
};
const SCHEDULES = `{ schedules { workflow name cron timeZone input nextAt lastAt lastJobId pausedAt pausedBy } }`;

test('schedules are listed, paused and resumed', async () => {
  const job = { ...request({ workflow: 'report' }), input: { all: true } };
  const schedule = { workflow: 'report', name: 'monthly', cron: '0 0 1 * *', timeZone: 'UTC', job };
  await service.core.database.query(sql`
    insert into dispatch.declarations (id, workflows, schedules, last_seen_at)
    values ('test', ${['report']}, ${JSON.stringify([schedule])}, 'infinity')`);
  await eventually(
    async () => {
      const { schedules } = await service.query<Schedules>(SCHEDULES);
      expect(schedules).toMatchObject([
        { workflow: 'report', name: 'monthly', timeZone: 'UTC', pausedBy: null },
      ]);
      expect(schedules[0]?.input).toEqual({ all: true });
      expect(schedules[0]?.nextAt).toContain('-01T00:00:00');
    },
    { timeoutMs: 30_000 },
  );

  const change = (verb: string, name: string) =>
    service.query<object>(
      `mutation ($name: String!) { result: ${verb}Schedule(workflow: "report", name: $name) {
        schedule { name nextAt pausedBy } errors { code field } } }`,
      { name },
    );
  expect(await change('pause', 'monthly')).toMatchObject({
    result: { schedule: { name: 'monthly', nextAt: null, pausedBy: expect.any(String) } },
  });
  expect(await change('resume', 'monthly')).toMatchObject({
    result: { schedule: { pausedBy: null }, errors: [] },
  });
  expect(await change('pause', 'none')).toEqual({
    result: { schedule: null, errors: [{ code: 'SCHEDULE_NOT_FOUND', field: ['name'] }] },
  });
}, 60_000);

test('dead letters are shown with what they said, and put back', async () => {
  const { transport } = service.core;
  await transport?.publish({
    ...signalDestination('x'),
    messageId: 'm1',
    body: { not: 'a signal' },
  });
  const letters = () =>
    service.query<{ deadLetters: object[] }>(
      `{ deadLetters(first: 5) { messageId queue routingKey reason diedAt body } }`,
    );
  await eventually(async () => {
    expect((await letters()).deadLetters).toMatchObject([
      {
        messageId: 'm1',
        queue: 'workflow.events.signals',
        routingKey: 'signal.x',
        reason: expect.stringContaining('Not a signal'),
        body: '{"not":"a signal"}',
      },
    ]);
  });
  const redrive = (limit: number) =>
    service.query<object>(
      `mutation { redriveDeadLetters(limit: ${String(limit)}) { redriven errors { code } } }`,
    );
  expect(await redrive(5)).toEqual({ redriveDeadLetters: { redriven: 1, errors: [] } });
  expect(await redrive(0)).toMatchObject({
    redriveDeadLetters: { redriven: 0, errors: [{ code: 'INVALID' }] },
  });
}, 60_000);
