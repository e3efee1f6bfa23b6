import type { JsonValue, Trigger } from '../../sdk/index.ts';
import { changeRequestOf } from './change-request.ts';
import type { AllowList } from './git/allow-list.ts';
import { type ChangedFile, type Changes, changesBetween } from './git/changes.ts';
import { fetchChange } from './git/fetch-commits.ts';
import { withRepository } from './git/repository-cache.ts';
import type { Settings } from './options.ts';

/** What the step `fetch-diff` leaves in the log. */
export type Diff = Readonly<{
  repository: string;
  cloneUrl: string;
  /** Where else the head may be. */
  forkUrl: string | null;
  headSha: string;
  /** The refs that led to the head. */
  headRefs: readonly string[];
  /** What the head was compared with. */
  baseSha: string;
  filesChanged: number;
  filesLeftOut: number;
  skipped: Changes['skipped'];
  files: readonly ChangedFile[];
}> &
  JsonValue;

/** Fetches the two commits of a trigger and tells which lines the change added. */
export async function fetchDiff(
  trigger: Trigger,
  {
    list,
    settings,
    signal,
  }: Readonly<{ list: AllowList; settings: Settings; signal: AbortSignal }>,
): Promise<Diff> {
  const { repository, remotes, head, base } = await changeRequestOf(trigger, list);
  const objectFormat = head.id?.length === 64 ? 'sha256' : 'sha1';
  return withRepository({ remotes, settings, objectFormat, signal }, async (git) => {
    const commits = await fetchChange(git, {
      head,
      base,
      url: remotes.origin.href,
      hasFork: remotes.fork !== undefined,
    });
    const changes = await changesBetween(git, commits, settings.limits);
    return {
      repository,
      cloneUrl: remotes.origin.href,
      forkUrl: remotes.fork?.href ?? null,
      headSha: commits.head,
      headRefs: head.refs,
      baseSha: commits.base,
      ...changes,
    };
  });
}
