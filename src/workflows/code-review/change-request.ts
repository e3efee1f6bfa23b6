import { NonRetriable, type Trigger } from '../../sdk/index.ts';
import { isWithoutHead } from './find-head-trigger.ts';
import { type AllowList, allowed } from './git/allow-list.ts';
import { isCommitId, isRef, type Wanted } from './git/commit.ts';
import type { Remotes } from './git/session.ts';

/** What is to be reviewed, checked. */
export type ChangeRequest = Readonly<{
  repository: string;
  remotes: Remotes;
  head: Wanted;
  base: Wanted;
}>;

/** Where hosts keep the head commits of pull requests, also of those that come from a fork. */
const PULL_REQUEST_REFS: Readonly<Record<string, (number: number) => string>> = {
  github: (number) => `refs/pull/${String(number)}/head`,
  gitea: (number) => `refs/pull/${String(number)}/head`,
  forgejo: (number) => `refs/pull/${String(number)}/head`,
  gitlab: (number) => `refs/merge-requests/${String(number)}/head`,
  'bitbucket-dc': (number) => `refs/pull-requests/${String(number)}/from`,
  'azure-repos': (number) => `refs/pull/${String(number)}/merge`,
};

/** Throws NonRetriable when the trigger does not say what to compare, or names what may not be fetched. */
export async function changeRequestOf(trigger: Trigger, list: AllowList): Promise<ChangeRequest> {
  const cloneUrl = trigger.repository?.cloneUrl ?? missing('a repository with a clone URL');
  const headId = trigger.headSha === null ? null : commitId(trigger.headSha);
  // A comment says of which pull request it is, and the host keeps its head under a ref of that number.
  if (headId === null && !isWithoutHead(trigger)) missing('a head commit');
  const base = baseOf(trigger);
  const origin = await allowed(list, cloneUrl);
  const forkUrl = forkUrlOf(trigger);
  const fork = forkUrl === null ? null : await allowed(list, forkUrl).catch(() => null);
  return {
    repository: trigger.repository?.fullName ?? cloneUrl,
    remotes: fork === null ? { origin } : { origin, fork },
    head: { id: headId, refs: headRefs(trigger, forkUrl !== null) },
    base,
  };
}

function missing(what: string): never {
  throw new NonRetriable(`code-review needs ${what}: the trigger has none`);
}

function baseOf(trigger: Trigger): Wanted {
  const { pullRequest, baseSha } = trigger;
  const id = pullRequest?.baseSha ?? baseSha;
  const branch = pullRequest?.baseBranch ?? null;
  // Nobody says where it goes: mostly that is the repository's own branch.
  const refs = branch === null && isWithoutHead(trigger) ? ['HEAD'] : branchRefs(branch);
  if (id === null && refs.length === 0) missing('a base commit or a base branch to compare with');
  return { id: id === null ? null : commitId(id), refs };
}

function commitId(text: string): string {
  if (isCommitId(text)) return text;
  throw new NonRetriable(
    `"${text.slice(0, 80)}" is not a commit id: those are 12 to 40, or 64, of 0-9 and a-f`,
  );
}

function headRefs({ provider, pullRequest, ref }: Trigger, isFork: boolean): readonly string[] {
  const refOf = PULL_REQUEST_REFS[provider];
  const ofHost = pullRequest && refOf ? [refOf(pullRequest.number)] : [];
  // A fork's branch of that name may also be one of the repository's own, and another commit.
  return [...ofHost, ...(isFork && ofHost.length > 0 ? [] : branchRefs(ref))];
}

function branchRefs(branch: string | null): readonly string[] {
  if (branch === null) return [];
  const ref = `refs/heads/${branch}`;
  if (!isRef(ref)) {
    throw new NonRetriable(`"${branch.slice(0, 80)}" is not the name of a branch`);
  }
  return [ref];
}

/** Hosts name the fork and not its address, which is the repository's own but for the name. */
function forkUrlOf({ repository, pullRequest }: Trigger): string | null {
  const fork = pullRequest?.headRepository ?? null;
  const { fullName, cloneUrl } = repository ?? { fullName: '', cloneUrl: null };
  if (fork === null || cloneUrl === null || fork === fullName) return null;
  if (!/^[\w.-]+(?:\/[\w.-]+)+$/.test(fork)) return null;
  const ending = [`/${fullName}.git`, `/${fullName}`].find((each) => cloneUrl.endsWith(each));
  if (ending === undefined) return null;
  return `${cloneUrl.slice(0, -ending.length)}${ending.replace(fullName, () => fork)}`;
}
