import { binaryArray } from '../event-store/binary-array.ts';
import type { Recorded } from '../events/event.ts';
import { JOB_EVENT_TYPES, type JobView, type StepView } from '../events/job-view.ts';
import { jobWords } from '../events/job-words.ts';
import type { JobEvent } from '../events/job.ts';
import type { Statement } from '../platform/sql.ts';
import { type Change, foldJobs } from './jobs-fold.ts';
import { type Table, type TableNames, projection, text } from './projection.ts';
import { type Columns, upsert } from './upsert.ts';

const jobTable: Table = {
  name: 'jobs',
  columns: `
    job_id          text        primary key collate "C",
    workflow        text        not null collate "C",
    status          text        not null collate "C",
    provider        text        not null collate "C",
    source          text        not null collate "C",
    repository      text        collate "C",
    pull_request    integer,
    title           text,
    ref             text        collate "C",
    head_sha        text        collate "C",
    sender          text        collate "C",
    concurrency_key text        collate "C",
    priority        smallint    not null,
    attempt         integer     not null,
    max_attempts    integer     not null,
    requested_at    timestamptz not null,
    started_at      timestamptz,
    finished_at     timestamptz,
    updated_at      timestamptz not null,
    duration_ms     bigint,
    error_message   text,
    worker_id       text        collate "C",
    delivery_id     text        collate "C",
    version         integer     not null,
    position        bigint      not null,
    view            json        not null,
    words           text        not null default ''`,
  indexes: [
    '(requested_at, job_id)',
    '(updated_at, job_id)',
    '(status, requested_at, job_id)',
    '(workflow, requested_at, job_id)',
    '(repository, requested_at, job_id)',
    '(provider, requested_at, job_id)',
    '(pull_request, requested_at, job_id) where pull_request is not null',
    '(ref, requested_at, job_id) where ref is not null',
    '(sender, requested_at, job_id) where sender is not null',
    '((coalesce(duration_ms, -1)), job_id)',
    '(finished_at) where finished_at is not null',
    '(head_sha) where head_sha is not null',
    // Words are found by how they begin. As they are: the parser of texts would take a path or a number apart.
    "using gin (array_to_tsvector(string_to_array(words, ' ')))",
  ],
};

const stepTable: Table = {
  name: 'job_steps',
  columns: `
    job_id      text        not null collate "C",
    ordinal     integer     not null,
    name        text        not null,
    attempt     integer     not null,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    output      json        not null,
    status      text        not null default 'COMPLETED' collate "C",
    error       text,
    primary key (job_id, ordinal)`,
  indexes: [],
};

/** One row per job as people see it, and one per step that was completed or has failed for good: both at the same place in the log, always. */
export const jobs = projection<JobEvent>({
  name: 'jobs',
  version: 3,
  types: JOB_EVENT_TYPES,
  tables: [jobTable, stepTable],
  streamsApart: true,
  load: (page, tables) => ({
    ...loadViews(startsBefore(page), tables),
    ...loadSteps(retried(page), tables),
  }),
  write(page, loaded, tables) {
    const changes = [...foldJobs(page, loaded).values()];
    return [
      ...dropSteps(changes, tables),
      upsertJobs(changes, tables),
      ...insertSteps(changes, tables),
    ];
  },
});

const startsBefore = (page: readonly Recorded<JobEvent>[]): readonly string[] => {
  const begun = new Set<string>();
  const known = new Set<string>();
  for (const { streamId, version } of page) {
    if (version === 1) begun.add(streamId);
    else if (!begun.has(streamId)) known.add(streamId);
  }
  return [...known];
};

const retried = (page: readonly Recorded<JobEvent>[]): readonly string[] => [
  ...new Set(
    page.filter(({ type }) => type === 'JobRetryRequested').map(({ streamId }) => streamId),
  ),
];

function loadViews(ids: readonly string[], tables: TableNames): Record<string, Statement> {
  if (ids.length === 0) return {};
  const select = `select view from ${tables['jobs']} where job_id = any ($1)`;
  return { views: { text: select, values: [ids] } };
}

function loadSteps(ids: readonly string[], tables: TableNames): Record<string, Statement> {
  if (ids.length === 0) return {};
  const select = `select job_id, ordinal, name, status from ${tables['job_steps']} where job_id = any ($1) order by job_id, ordinal`;
  return { steps: { text: select, values: [ids] } };
}

/** Steps that are dropped go first: a later step may not take the place of one, but nothing should depend on it. */
function dropSteps(changes: readonly Change[], tables: TableNames): readonly Statement[] {
  const dropped = changes.flatMap(({ view, dropped: places }) =>
    places.map((ordinal) => ({ jobId: view.id, ordinal })),
  );
  if (dropped.length === 0) return [];
  return [
    {
      text: `
        delete from ${tables['job_steps']} as step
        using unnest($1::text[], $2::integer[]) as dropped (job_id, ordinal)
        where step.job_id = dropped.job_id and step.ordinal = dropped.ordinal`,
      values: [
        binaryArray.text(dropped.map(({ jobId }) => jobId)),
        binaryArray.int4(dropped.map(({ ordinal }) => ordinal)),
      ],
    },
  ];
}

const JOB_COLUMNS: Columns<JobView> = {
  job_id: ['text', ({ id }) => id],
  workflow: ['text', ({ workflow }) => text(workflow)],
  status: ['text', ({ status }) => status],
  provider: ['text', ({ trigger }) => trigger.provider],
  source: ['text', ({ trigger }) => text(trigger.source)],
  repository: ['text', ({ trigger }) => text(trigger.repository?.fullName ?? null)],
  pull_request: ['int4', ({ trigger }) => trigger.pullRequest?.number ?? null],
  title: ['text', ({ trigger }) => text(trigger.pullRequest?.title ?? null)],
  ref: ['text', ({ trigger }) => text(trigger.ref)],
  head_sha: ['text', ({ trigger }) => text(trigger.headSha)],
  sender: ['text', ({ trigger }) => text(trigger.sender)],
  concurrency_key: ['text', ({ concurrencyKey }) => text(concurrencyKey)],
  priority: ['int2', ({ priority }) => priority],
  attempt: ['int4', ({ attempt }) => attempt],
  max_attempts: ['int4', ({ maxAttempts }) => maxAttempts],
  requested_at: ['timestamptz', ({ requestedAt }) => new Date(requestedAt)],
  started_at: ['timestamptz', ({ startedAt }) => date(startedAt)],
  finished_at: ['timestamptz', ({ finishedAt }) => date(finishedAt)],
  updated_at: ['timestamptz', ({ updatedAt }) => new Date(updatedAt)],
  duration_ms: ['int8', durationMs],
  error_message: ['text', ({ error }) => text(error?.message ?? null)],
  worker_id: ['text', ({ workerId }) => text(workerId)],
  delivery_id: ['text', ({ deliveryId }) => text(deliveryId)],
  version: ['int4', ({ version }) => version],
  position: ['int8', ({ position }) => BigInt(position)],
  view: ['json', (view) => JSON.stringify({ ...view, steps: [] })],
  words: ['text', (view) => jobWords(view).join(' ')],
};

const date = (value: string | null): Date | null => (value === null ? null : new Date(value));

/** From the first run's start to the end; null while it is open, and for one that never ran. */
function durationMs({ startedAt, finishedAt }: JobView): bigint | null {
  if (startedAt === null || finishedAt === null) return null;
  return BigInt(Date.parse(finishedAt) - Date.parse(startedAt));
}

function upsertJobs(changes: readonly Change[], tables: TableNames): Statement {
  return upsert({
    table: tables['jobs'],
    key: ['job_id'],
    columns: JOB_COLUMNS,
    rows: changes.map(({ view }) => view),
  });
}

type StepRow = Readonly<{ jobId: string; ordinal: number; step: StepView }>;

const STEP_COLUMNS: Columns<StepRow> = {
  job_id: ['text', ({ jobId }) => jobId],
  ordinal: ['int4', ({ ordinal }) => ordinal],
  name: ['text', ({ step }) => text(step.name)],
  attempt: ['int4', ({ step }) => step.attempt],
  started_at: ['timestamptz', ({ step }) => new Date(step.startedAt)],
  finished_at: ['timestamptz', ({ step }) => new Date(step.finishedAt)],
  output: ['json', ({ step }) => JSON.stringify(step.output)],
  status: ['text', ({ step }) => step.status],
  error: ['text', ({ step }) => text(step.error)],
};

function insertSteps(changes: readonly Change[], tables: TableNames): readonly Statement[] {
  const rows = changes.flatMap(newSteps);
  if (rows.length === 0) return [];
  return [upsert({ table: tables['job_steps'], key: [], columns: STEP_COLUMNS, rows })];
}

const newSteps = ({ view, ordinals, since }: Change): readonly StepRow[] =>
  view.steps
    .map((step, index) => ({ jobId: view.id, ordinal: ordinals[index] ?? 0, step }))
    .filter(({ ordinal }) => ordinal > since);
