import { readFileSync } from 'node:fs';

import type { Headers } from '../ingress/webhooks/provider.ts';
import type { Queryable } from '../platform/database.ts';
import { uuidIn } from '../platform/ids.ts';
import { sql } from '../platform/sql.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import { CannotRun } from '../processes/run-role.ts';
import type { AuthenticDelivery } from './explain-delivery.ts';
import { signedHeaders } from './signed-headers.ts';
import { Usage } from './usage.ts';

/** A source that takes whatever is signed; what it is signed with does not matter where nothing is sent. */
export const openSource = (name: string, provider: WebhookSource['provider']): WebhookSource => ({
  name,
  provider,
  secrets: [{ value: 'user:of-no-consequence', expiresAt: null }],
  repositories: null,
  maxPerMinute: null,
  allowedIps: null,
});

/** The payload in a file, with the headers that the source's host would send. */
export function deliveryOfFile(
  file: string,
  { source, event }: Readonly<{ source: WebhookSource; event: string | null }>,
): AuthenticDelivery {
  const body = contentOf(file);
  const named = event ?? eventInBody(source.provider, body);
  if (named === null) {
    throw new Usage(
      'The payload does not say which event it is: give it with --event, as --event pull_request',
    );
  }
  return {
    source,
    body,
    headers: signedHeaders(source, { body, event: named, deliveryId: 'test' }),
  };
}

/** The payload in a file that was named on the command line. */
export function contentOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Usage(`${file} cannot be read: give the file with the payload`, { cause: error });
  }
}

/** What GitLab calls an event in the body, and in the header. */
const GITLAB_EVENTS: Readonly<Record<string, string>> = {
  push: 'Push Hook',
  tag_push: 'Tag Push Hook',
  merge_request: 'Merge Request Hook',
  note: 'Note Hook',
  pipeline: 'Pipeline Hook',
  build: 'Job Hook',
};

/** The event where the host repeats it in the payload; null where only a header has it. */
function eventInBody(provider: WebhookSource['provider'], body: Buffer): string | null {
  // Its headers have none.
  if (provider === 'azure-repos') return '';
  const { object_kind: kind, eventKey } = fieldsOf(body);
  if (provider === 'bitbucket-dc') return typeof eventKey === 'string' ? eventKey : null;
  if (provider !== 'gitlab' || typeof kind !== 'string') return null;
  return GITLAB_EVENTS[kind] ?? null;
}

function fieldsOf(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** A delivery of the log, and what became of it. */
export type StoredDelivery = Readonly<{
  id: string;
  sourceName: string;
  provider: WebhookSource['provider'];
  headers: Headers;
  body: Buffer;
  fate: Readonly<{
    receivedAt: Date;
    outcome: string;
    reason: string | null;
    jobs: readonly Readonly<{ id: string; workflow: string }>[];
  }>;
}>;

type Row = Readonly<{
  id: string;
  source: string;
  provider: WebhookSource['provider'];
  headers: Headers;
  body: Buffer | null;
  received_at: Date;
  outcome: string;
  reason: string | null;
  jobs: StoredDelivery['fate']['jobs'];
}>;

/** By its own id, or by the provider's; throws one sentence when there is none. */
export async function storedDelivery(database: Queryable, id: string): Promise<StoredDelivery> {
  const [row] = await database.query<Row>(sql`
    select id, source, provider, headers, body, received_at, outcome, reason, jobs
    from ingress.deliveries
    where id = any (${uuidIn(id)}::uuid[]) or delivery_id = ${id}
    order by (id = any (${uuidIn(id)}::uuid[])) desc, received_at desc limit 1`);
  if (row === undefined) throw new CannotRun(`There is no delivery ${id}`);
  const { source, provider, received_at: receivedAt, outcome, reason, jobs, body } = row;
  if (body === null) {
    throw new CannotRun(
      `The body of delivery ${id} was removed by retention, so it cannot be read again; "deliveries show ${id}" has what is kept`,
    );
  }
  // Those whose values are not stored have no part in what a delivery means.
  const headers = Object.fromEntries(
    Object.entries(row.headers).filter(([, value]) => value !== '[redacted]'),
  );
  const fate = { receivedAt, outcome, reason, jobs };
  return { id: row.id, sourceName: source, provider, headers, body, fate };
}
