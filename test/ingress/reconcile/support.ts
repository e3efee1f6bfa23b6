import { pino } from 'pino';

import { PostgresEventStore, appendLane } from '../../../src/event-store/postgres-event-store.ts';
import { LocalLogHints } from '../../../src/event-store/log-hints.ts';
import type { HostsAccess } from '../../../src/hosts/host-access.ts';
import type { Plan } from '../../../src/ingress/webhooks/plan-jobs.ts';
import { Reconciler } from '../../../src/ingress/reconcile/reconciler.ts';
import { Database } from '../../../src/platform/database.ts';
import { sql } from '../../../src/platform/sql.ts';
import type { WebhookSource } from '../../../src/platform/webhook-sources.ts';
import { openDoor } from '../../../src/processes/door.ts';
import { createDatabase } from '../../support/database.ts';
import { trigger } from '../../support/jobs.ts';

export const TOKEN = 'secret-token';
export const NOW = new Date('2026-11-20T12:00:00Z');
export const ago = (ms: number): Date => new Date(NOW.getTime() - ms);
const logger = pino({ level: 'silent' });
export const never = new AbortController().signal;

export const source = (change: Partial<WebhookSource> = {}): WebhookSource => ({
  name: 'shop',
  provider: 'github',
  secrets: [],
  repositories: ['acme/shop'],
  maxPerMinute: null,
  allowedIps: null,
  ...change,
});

const plan: Plan = (given) =>
  given.event === 'pull_request' && ['opened', 'synchronize'].includes(given.action)
    ? [
        {
          workflow: 'review',
          priority: 5,
          concurrency: null,
          retry: { maxAttempts: 1, firstDelayMs: 1, maxDelayMs: 1 },
        },
      ]
    : [];

/** A log of its own, and reconcilers over it. */
export async function openLog() {
  const server = await createDatabase();
  const database = new Database(server.url, { max: 4, applicationName: 'test', logger });
  const lane = appendLane({ databaseUrl: server.url, logger });
  const store = new PostgresEventStore({ database, lane, hints: new LocalLogHints() });
  const { door, close } = await openDoor({ store });
  return {
    database,
    store,
    reconciler: (access: HostsAccess, change: { graceMs?: number; clock?: () => Date } = {}) =>
      new Reconciler({ database, door, plan, access, clock: () => NOW, graceMs: 0, ...change }),
    /** As if a delivery had come. */
    came: async (
      id: string,
      given: {
        source?: string;
        repository?: string;
        cloneUrl?: string;
        head?: string;
        number?: number;
      } = {},
    ) => {
      const { repository: fullName = 'acme/shop', cloneUrl = null } = given;
      const facts = [
        {
          ...trigger,
          repository: { fullName, url: null, cloneUrl },
          headSha: given.head ?? trigger.headSha,
          pullRequest: { ...trigger.pullRequest, number: given.number ?? 99 },
        },
      ];
      await database.query(sql`
        insert into ingress.deliveries (id, received_at, source, provider, delivery_id, delivery_key, body_sha256,
          event, outcome, repository, triggers, jobs, headers, body)
        values (gen_random_uuid(), ${ago(60_000)}, ${given.source ?? 'shop'}, 'github', ${id}, ${id}, '', 'push',
          'accepted', ${fullName}, ${JSON.stringify(facts)}, '[]', '{}', '')`);
    },
    requested: async () => {
      const rows = await database.query<{
        data: { trigger: typeof trigger; workflow: string };
      }>(sql`
        select data from log.events where type = 'JobRequested' order by position`);
      return rows.map(({ data }) => data.trigger);
    },
    wipe: async () => {
      await database.transaction(async (transaction) => {
        await transaction.query(sql`set local session_replication_role = replica`);
        await transaction.query(sql`
          with a as (delete from ingress.deliveries), b as (delete from ingress.reconciled)
          delete from log.events`);
      });
    },
    close: async () => {
      await close();
      await lane.close();
      await database.close();
      await server.drop();
    },
  };
}

export type Log = Awaited<ReturnType<typeof openLog>>;
