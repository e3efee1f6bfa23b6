import { binaryArray } from '../event-store/binary-array.ts';
import type { Recorded } from '../events/event.ts';
import type { JobEvent, JobRequest } from '../events/job.ts';
import { type Loaded, type Table, projection, text } from './projection.ts';
import { type Columns, upsert } from './upsert.ts';

const TYPES = ['JobRequested', 'JobCompleted', 'JobFailed'] as const;

type Counted = Extract<JobEvent, { type: (typeof TYPES)[number] }>;

const table: Table = {
  name: 'job_stats',
  columns: `
    minute    timestamptz not null,
    workflow  text        not null collate "C",
    requested integer     not null,
    completed integer     not null,
    failed    integer     not null,
    primary key (minute, workflow)`,
  indexes: [],
  storage: 'fillfactor = 50',
};

/** How many jobs of a workflow were requested, completed and failed in each minute, by the events' own time. */
export const jobStats = projection<Counted>({
  name: 'job_stats',
  version: 1,
  types: TYPES,
  tables: [table],
  streamsApart: false,
  load(page) {
    const requested = new Set(page.filter(isRequest).map(({ streamId }) => streamId));
    const ids = page.map(({ streamId }) => streamId).filter((id) => !requested.has(id));
    if (ids.length === 0) return {};
    // The workflow stands in the job's first event. It is not taken out in SQL: `->` fails on a NUL anywhere in it.
    const select = `
      select stream_id, data from log.all_events where stream_id = any ($1::text[]) and version = 1`;
    return { requests: { text: select, values: [binaryArray.text([...new Set(ids)])] } };
  },
  write(page, loaded, tables) {
    const rows = [...count(page, loaded).values()];
    return [
      upsert({ table: tables['job_stats'], key: KEY, columns: COLUMNS, rows, onConflict: ADD }),
    ];
  },
});

type Bucket = {
  minute: Date;
  workflow: string;
  requested: number;
  completed: number;
  failed: number;
};

const COUNTER = {
  JobRequested: 'requested',
  JobCompleted: 'completed',
  JobFailed: 'failed',
} as const satisfies Record<Counted['type'], keyof Bucket>;

const KEY = ['minute', 'workflow'];

const COLUMNS: Columns<Bucket> = {
  minute: ['timestamptz', ({ minute }) => minute],
  workflow: ['text', ({ workflow }) => workflow],
  requested: ['int4', ({ requested }) => requested],
  completed: ['int4', ({ completed }) => completed],
  failed: ['int4', ({ failed }) => failed],
};

const ADD = Object.values(COUNTER)
  .map((counter) => `${counter} = stored.${counter} + excluded.${counter}`)
  .join(', ');

const MINUTE_MS = 60_000;

const isRequest = (
  event: Recorded<Counted>,
): event is Recorded<Counted & { type: 'JobRequested' }> => event.type === 'JobRequested';

function count(page: readonly Recorded<Counted>[], loaded: Loaded): ReadonlyMap<string, Bucket> {
  const workflows = workflowsOf(page, loaded);
  const buckets = new Map<string, Bucket>();
  for (const { streamId, type, at } of page) {
    const workflow = text(workflows.get(streamId) ?? '');
    const minute = new Date(Math.floor(at.getTime() / MINUTE_MS) * MINUTE_MS);
    const key = `${String(minute.getTime())} ${workflow}`;
    const bucket = buckets.get(key) ?? { minute, workflow, requested: 0, completed: 0, failed: 0 };
    bucket[COUNTER[type]]++;
    buckets.set(key, bucket);
  }
  return buckets;
}

type RequestRow = Readonly<{ stream_id: string; data: JobRequest }>;

function workflowsOf(
  page: readonly Recorded<Counted>[],
  { requests = [] }: Loaded,
): ReadonlyMap<string, string> {
  return new Map([
    ...(requests as readonly RequestRow[]).map(
      (row) => [row.stream_id, row.data.workflow] as const,
    ),
    ...page.filter(isRequest).map(({ streamId, data }) => [streamId, data.workflow] as const),
  ]);
}
