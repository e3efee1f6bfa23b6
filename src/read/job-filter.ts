import type { JobView } from '../events/job-view.ts';
import { PersonName } from '../platform/person-name.ts';
import { allOf, type Statement, sql } from '../platform/sql.ts';
import { fromEnum } from './job.ts';

/** The schema's `JobFilter`. A list that is empty lets nothing through; one that is left out, everything. */
export type JobFilter = Readonly<{
  status?: readonly string[] | null;
  workflow?: readonly string[] | null;
  provider?: readonly string[] | null;
  repository?: readonly string[] | null;
  pullRequest?: number | null;
  ref?: string | null;
  headSha?: string | null;
  sender?: string | null;
  requestedAfter?: Date | null;
  requestedBefore?: Date | null;
  search?: string | null;
}>;

/** The condition on `read.jobs`, whose alias is `j`. */
export function jobCondition(filter: JobFilter | null | undefined): Statement {
  const f = filter ?? {};
  return allOf([
    ...when(f.status, (statuses) => sql`j.status = any(${statuses}::text[])`),
    ...when(f.workflow, (workflows) => sql`j.workflow = any(${workflows}::text[])`),
    ...when(f.provider, (names) => sql`j.provider = any(${names.map(fromEnum)}::text[])`),
    ...when(f.repository, (names) => sql`j.repository = any(${names}::text[])`),
    ...when(f.pullRequest, (number) => sql`j.pull_request = ${number}`),
    ...when(f.ref, (ref) => sql`j.ref = ${ref}`),
    ...when(f.headSha, (sha) => sql`j.head_sha = ${sha}`),
    ...when(f.sender, (sender) => sql`j.sender = ${new PersonName(sender)}`),
    ...when(f.requestedAfter, (at) => sql`j.requested_at > ${at}`),
    ...when(f.requestedBefore, (at) => sql`j.requested_at < ${at}`),
    ...words(f.search).map(wordCondition),
  ]);
}

/** The same condition on a view in memory: what a live subscription lets through. */
export function jobMatcher(filter: JobFilter | null | undefined): (view: JobView) => boolean {
  const f = filter ?? {};
  const lists = [
    [f.status, (view: JobView) => view.status],
    [f.workflow, (view: JobView) => view.workflow],
    [f.provider?.map(fromEnum), (view: JobView) => view.trigger.provider],
    [f.repository, (view: JobView) => view.trigger.repository?.fullName],
    [one(f.pullRequest), (view: JobView) => view.trigger.pullRequest?.number],
    [one(f.ref), (view: JobView) => view.trigger.ref],
    [one(f.headSha), (view: JobView) => view.trigger.headSha],
    [one(f.sender), (view: JobView) => view.trigger.sender],
  ] as const;
  const after = f.requestedAfter?.toISOString() ?? '';
  const before = f.requestedBefore?.toISOString() ?? '9999';
  const wanted = words(f.search).map((word) => word.toLowerCase());
  return (view) =>
    lists.every(([values, of]) => !values || (values as readonly unknown[]).includes(of(view))) &&
    view.requestedAt > after &&
    view.requestedAt < before &&
    wanted.every((word) => hasWord(view, word));
}

const one = <T>(value: T | null | undefined): readonly T[] | null =>
  value === null || value === undefined ? null : [value];

function hasWord({ id, trigger, error }: JobView, word: string): boolean {
  const { repository, pullRequest, ref, sender, headSha } = trigger;
  const texts = [repository?.fullName, pullRequest?.title, ref, sender, error?.message];
  return (
    texts
      .filter((text) => typeof text === 'string')
      .join(' ')
      .toLowerCase()
      .includes(word) ||
    id.startsWith(word) ||
    (headSha ?? '').startsWith(word)
  );
}

/** A condition for a value that is given; none for one that is left out. */
export const when = <T>(
  value: T | null | undefined,
  condition: (value: T) => Statement,
): readonly Statement[] => (value === null || value === undefined ? [] : [condition(value)]);

const words = (search: string | null | undefined): readonly string[] =>
  (search ?? '')
    .split(/\s+/)
    .filter((word) => word !== '')
    .slice(0, 10);

/** Every word must stand in one of the searched fields, or begin the id or the sha. */
function wordCondition(word: string): Statement {
  const pattern = word.replaceAll(/[\\%_]/g, String.raw`\$&`);
  return sql`(
    concat_ws(' ', j.repository, j.title, j.ref, j.sender, j.error_message) ilike ${`%${pattern}%`}
    or j.job_id like ${`${pattern.toLowerCase()}%`} or j.head_sha like ${`${pattern.toLowerCase()}%`})`;
}
