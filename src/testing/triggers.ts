import type { PullRequest, Repository, Trigger } from '../events/trigger.ts';
import { matches, type TriggerMatcher, type Workflow } from '../sdk/index.ts';

/** What of a trigger is to differ from the one that the builder makes. */
export type TriggerChange = Partial<Omit<Trigger, 'repository' | 'pullRequest'>> &
  Readonly<{ repository?: Partial<Repository>; pullRequest?: Partial<PullRequest> }>;

const HEAD_SHA = 'a'.repeat(40);
const BASE_SHA = 'b'.repeat(40);

const REPOSITORY: Repository = {
  fullName: 'octo/repo',
  url: 'https://github.com/octo/repo',
  cloneUrl: 'https://github.com/octo/repo.git',
};

const PULL_REQUEST: PullRequest = {
  number: 7,
  title: 'Add a thing',
  url: 'https://github.com/octo/repo/pull/7',
  headRepository: 'octo/repo',
  baseBranch: 'main',
  baseSha: BASE_SHA,
};

const OPENED: Trigger = {
  provider: 'github',
  source: 'github',
  deliveryId: '00000000-0000-4000-8000-000000000001',
  event: 'pull_request',
  action: 'opened',
  repository: REPOSITORY,
  pullRequest: PULL_REQUEST,
  ref: 'feature',
  headSha: HEAD_SHA,
  baseSha: BASE_SHA,
  sender: 'octocat',
};

const PUSHED: Trigger = {
  ...OPENED,
  event: 'push',
  action: 'updated',
  pullRequest: null,
  ref: 'main',
};

/** Pull request 7 of octo/repo was opened on GitHub, but for what `change` says. */
export function pullRequestTrigger(change: TriggerChange = {}): Trigger {
  return {
    ...OPENED,
    ...change,
    repository: { ...REPOSITORY, ...change.repository },
    pullRequest: { ...PULL_REQUEST, ...change.pullRequest },
  };
}

/** Branch main of octo/repo was pushed to on GitHub, but for what `change` says. */
export function pushTrigger(change: Omit<TriggerChange, 'pullRequest'> = {}): Trigger {
  return { ...PUSHED, ...change, repository: { ...REPOSITORY, ...change.repository } };
}

/** A trigger that starts the workflow, by the first of its matchers; a pull request's for one without any. */
export function triggerFor({ on: [matcher = {}] }: Pick<Workflow, 'on'>): Trigger {
  const fields = ['provider', 'source', 'event', 'action', 'ref', 'sender'] as const;
  const change = Object.fromEntries(
    fields.flatMap((field) => {
      const wanted = firstOf(matcher[field]);
      return wanted === null ? [] : [[field, wanted]];
    }),
    // A matcher may name an event or a provider that there is not; then it lets no trigger through anyway.
  ) as TriggerChange;
  const fullName = firstOf(matcher.repository);
  const repository = fullName === null ? {} : { fullName };
  const baseBranch = firstOf(matcher.baseBranch);
  const label = firstOf(matcher.label);
  const command = firstOf(matcher.command);
  return change.event === undefined || change.event.startsWith('pull_request')
    ? pullRequestTrigger({
        ...change,
        ...(command === null ? {} : commented(command)),
        repository,
        pullRequest: {
          ...(baseBranch === null ? {} : { baseBranch }),
          ...(label === null ? {} : { labels: [label] }),
          ...(matcher.draft === undefined ? {} : { draft: matcher.draft }),
        },
      })
    : pushTrigger({ ...change, repository });
}

const commented = (command: string): Pick<Trigger, 'action' | 'comment'> => ({
  action: 'created',
  comment: { text: `/${command}`, author: OPENED.sender, isMember: true, command },
});

/** Throws for a trigger that would start no job of the workflow; what is asked for by hand starts any. */
export function assertStarts({ name, on }: Pick<Workflow, 'name' | 'on'>, trigger: Trigger): void {
  if (on.length === 0 || trigger.provider === 'manual' || matches(on, trigger)) return;
  const { provider, event, action, repository } = trigger;
  throw new Error(
    `Workflow "${name}" does not start on this trigger: ${JSON.stringify({ provider, event, action, repository: repository?.fullName })} is let through by none of ${JSON.stringify(on)}. Give a trigger that matches, or one with provider "manual"`,
  );
}

const firstOf = (wanted: TriggerMatcher[Exclude<keyof TriggerMatcher, 'draft'>]): string | null =>
  typeof wanted === 'string' ? wanted : (wanted?.[0] ?? null);
