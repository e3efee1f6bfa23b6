export type Provider =
  | 'github'
  | 'gitlab'
  | 'bitbucket-cloud'
  | 'bitbucket-dc'
  | 'azure-repos'
  | 'gitea'
  | 'forgejo'
  | 'manual';

export type TriggerEvent =
  | 'push'
  | 'tag'
  | 'pull_request'
  | 'pull_request_review'
  | 'pull_request_comment'
  | 'issue_comment'
  | 'commit_comment'
  | 'check'
  | 'pipeline'
  | 'merge_queue'
  | 'ping'
  | 'installation';

export type Repository = Readonly<{
  /** As the provider writes it: `owner/name`, a GitLab path with its groups, `KEY/slug`, `project/repo`. */
  fullName: string;
  url: string | null;
  /** Without user information. A clue, not an order: it is fetched only where `CLONE_ALLOW` lets it. */
  cloneUrl: string | null;
}>;

export type PullRequest = Readonly<{
  number: number;
  title: string | null;
  url: string | null;
  /** The repository that the head branch is in; another one than the trigger's means a fork. */
  headRepository: string | null;
  baseBranch: string | null;
  baseSha: string | null;
  /** Their names; left out where the payload does not say. */
  labels?: readonly string[];
  /** Left out where the payload does not say. */
  draft?: boolean;
}>;

export type Comment = Readonly<{
  /** Its beginning: at most 1024 characters. */
  text: string;
  author: string | null;
  /** Whether the author belongs to the repository; left out where the payload does not say. */
  isMember?: boolean;
  /**
   * The word after the slash with which the first line begins, as in `/review`; left out where there is none, and where
   * the author may give no commands.
   */
  command?: string;
}>;

/** What a webhook said, normalised over all providers. One delivery may hold several. */
export type Trigger = Readonly<{
  provider: Provider;
  /** The name of the configured webhook source that it came through. */
  source: string;
  /** The provider's id of the delivery. */
  deliveryId: string;
  event: TriggerEvent;
  /** opened, synchronize, reopened, closed, merged, created, updated, deleted …; unknown ones pass through. */
  action: string;
  repository: Repository | null;
  pullRequest: PullRequest | null;
  /** Head branch or tag, short. */
  ref: string | null;
  /** A commit, never a tag object; null on delete. */
  headSha: string | null;
  baseSha: string | null;
  /** The actor's login as the provider states it. */
  sender: string | null;
  /** The files that a push changed; left out where the payload does not say. */
  paths?: readonly string[];
  /** Whether the push changed more files than `paths` has. */
  morePaths?: boolean;
  /** Left out where the event is no comment, or the payload does not have its text. */
  comment?: Comment;
}>;
