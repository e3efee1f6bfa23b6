import type { JobView } from '../events/job-view.ts';
import { type SearchTerm, isFound, jobWords, searchTerms } from '../events/job-words.ts';
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
    ...when(f.status, (statuses) => oneOf(sql`j.status`, statuses)),
    ...when(f.workflow, (workflows) => oneOf(sql`j.workflow`, workflows)),
    ...when(f.provider, (names) => oneOf(sql`j.provider`, names.map(fromEnum))),
    ...when(f.repository, (names) => oneOf(sql`j.repository`, names)),
    ...when(f.pullRequest, (number) => sql`j.pull_request = ${number}`),
    ...when(f.ref, (ref) => sql`j.ref = ${ref}`),
    ...when(f.headSha, (sha) => sql`j.head_sha = ${sha}`),
    ...when(f.sender, (sender) => sql`j.sender = ${new PersonName(sender)}`),
    ...when(f.requestedAfter, (at) => sql`j.requested_at > ${at}`),
    ...when(f.requestedBefore, (at) => sql`j.requested_at < ${at}`),
    ...foundBy(searchTerms(f.search)),
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
  const wanted = searchTerms(f.search);
  return (view) =>
    lists.every(([values, of]) => !values || (values as readonly unknown[]).includes(of(view))) &&
    view.requestedAt > after &&
    view.requestedAt < before &&
    (wanted.length === 0 || hasAll(jobWords(view), wanted));
}

const one = <T>(value: T | null | undefined): readonly T[] | null =>
  value === null || value === undefined ? null : [value];

const hasAll = (words: readonly string[], terms: readonly SearchTerm[]): boolean =>
  terms.every((term) => isFound(term, words));

/** One value is compared with, as only so an index gives the rows in their order. */
const oneOf = (column: Statement, values: readonly string[]): Statement =>
  values.length === 1 ? sql`${column} = ${values[0]}` : sql`${column} = any(${values}::text[])`;

/** A condition for a value that is given; none for one that is left out. */
export const when = <T>(
  value: T | null | undefined,
  condition: (value: T) => Statement,
): readonly Statement[] => (value === null || value === undefined ? [] : [condition(value)]);

/** The same as `isFound`, by the index of words. */
function foundBy(terms: readonly SearchTerm[]): readonly Statement[] {
  if (terms.length === 0) return [];
  const query = terms
    .map(({ whole, parts }) => `(${begins(whole)} | (${parts.map(begins).join(' & ')}))`)
    .join(' & ');
  return [sql`array_to_tsvector(string_to_array(j.words, ' ')) @@ ${query}::tsquery`];
}

const begins = (word: string): string => `'${word.replaceAll(/['\\]/g, String.raw`\$&`)}':*`;
