import { afterEach, expect, test } from 'vitest';

import { AdminServer, type ReadinessCheck } from '../../src/platform/admin-server.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { Metrics } from '../../src/platform/metrics.ts';

const stop = new AbortController();
const servers: AdminServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(async (server) => server.close()));
});

async function serve(
  checks: readonly ReadinessCheck[] = [],
  { metrics = new Metrics(), stopping = stop.signal, checkTimeoutMs = 1_000 } = {},
): Promise<(path: string, init?: RequestInit) => Promise<Response>> {
  const server = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    checks,
    registry: metrics.registry,
    stopping,
    logger: createLogger('silent', 'test'),
    checkTimeoutMs,
  });
  servers.push(server);
  const port = await server.start();
  return async (path, init) => fetch(`http://127.0.0.1:${String(port)}${path}`, init);
}

const never = async (): Promise<void> => new Promise(() => {});
const fine: ReadinessCheck = { name: 'database', check: async () => {} };

test('a role is alive whatever its dependencies do', async () => {
  const get = await serve([{ name: 'database', check: never }]);
  expect((await get('/livez')).status).toBe(200);
});

test('a role is ready when all its checks pass', async () => {
  const get = await serve([fine, { name: 'broker', check: async () => {} }]);
  const response = await get('/readyz');
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({
    ready: true,
    stopping: false,
    checks: { database: 'ok', broker: 'ok' },
  });
});

test('a role is not ready while a check fails, and says why', async () => {
  const broken = { name: 'broker', check: async () => Promise.reject(new Error('no connection')) };
  const get = await serve([fine, broken]);
  const response = await get('/readyz');
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({
    ready: false,
    checks: { database: 'ok', broker: 'no connection' },
  });
});

test('a check that throws before it awaits makes the role not ready', async () => {
  const thrower = (): Promise<void> => {
    throw new Error('no pool');
  };
  const get = await serve([{ name: 'database', check: thrower }]);
  expect((await get('/readyz')).status).toBe(503);
});

test('a check that hangs is answered for in time, and not started again meanwhile', async () => {
  let starts = 0;
  const hanging = {
    name: 'database',
    check: async () => {
      starts += 1;
      return never();
    },
  };
  const get = await serve([hanging], { checkTimeoutMs: 20 });
  expect((await get('/readyz')).status).toBe(503);
  expect(await (await get('/readyz')).json()).toMatchObject({
    checks: { database: 'no result in 20 ms' },
  });
  expect(starts).toBe(1);
});

test('a role that recovers is ready again', async () => {
  let isUp = false;
  const check = async (): Promise<void> => {
    if (!isUp) throw new Error('down');
  };
  const get = await serve([{ name: 'database', check }]);
  expect((await get('/readyz')).status).toBe(503);
  isUp = true;
  expect((await get('/readyz')).status).toBe(200);
});

test('a role is not ready from the moment its stop begins, but alive', async () => {
  const stopping = new AbortController();
  const get = await serve([fine], { stopping: stopping.signal });
  expect((await get('/readyz')).status).toBe(200);
  stopping.abort();
  expect((await get('/readyz')).status).toBe(503);
  expect((await get('/livez')).status).toBe(200);
});

test('the metrics have the names of the contract and those of the process', async () => {
  const metrics = new Metrics();
  metrics.watchPool(() => ({ total: 5, idle: 2, waiting: 1 }));
  metrics.watchPool(() => ({ total: 1, idle: 1, waiting: 0 }));
  metrics.deliveries.inc({ source: 'github', outcome: 'accepted' });
  const get = await serve([], { metrics });
  const text = await (await get('/metrics')).text();
  for (const line of [
    'jobledger_deliveries_total{source="github",outcome="accepted"} 1',
    'jobledger_pool_connections{state="busy"} 3',
    'jobledger_pool_connections{state="idle"} 3',
    'jobledger_pool_connections{state="waiting"} 1',
    'jobledger_relay_lag_events 0',
    'jobledger_subscriptions 0',
    'jobledger_ingress_seconds_count 0',
    'jobledger_append_seconds_count 0',
    '# TYPE jobledger_jobs_total counter',
    '# TYPE jobledger_job_queue_seconds histogram',
    '# TYPE jobledger_job_run_seconds histogram',
    '# TYPE jobledger_projection_lag_events gauge',
    '# TYPE process_cpu_seconds_total counter',
  ]) {
    expect(text).toContain(line);
  }
});

test('anything else is not found, and nothing can be changed', async () => {
  const get = await serve();
  expect((await get('/')).status).toBe(404);
  expect((await get('/livez', { method: 'POST' })).status).toBe(405);
});
