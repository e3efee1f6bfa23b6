import type { WebhookSource } from '../platform/webhook-sources.ts';

/** What to enter into a field of the host's form; the address and the secret are filled in by the caller. */
type Entry = Readonly<{ field: string; enter: string }>;

/** An event to select, as the host's page calls it, and the names under which it is sent. */
type HostEvent = Readonly<{ label: string; sent: readonly string[] }>;

/** How a Git host is told to send its webhooks here. */
export type WebhookHost = Readonly<{
  title: string;
  /** From the repository's page to the form. */
  menu: readonly string[];
  urlField: string;
  secretField: string;
  secretHint: string;
  entries: readonly Entry[];
  events: readonly HostEvent[];
  /** How to see that it works, and what is particular. */
  notes: readonly string[];
}>;

const one = (label: string, ...sent: readonly string[]): HostEvent => ({ label, sent });

const A_RANDOM_TEXT = 'a random text, such as "openssl rand -hex 32" prints';

/** Gitea's forms and Forgejo's are the same but for their names. */
const giteaLike = (title: string): WebhookHost => ({
  title,
  menu: ['Settings', 'Webhooks', 'Add webhook', title],
  urlField: 'Target URL',
  secretField: 'Secret',
  secretHint: A_RANDOM_TEXT,
  entries: [
    { field: 'HTTP method', enter: 'POST' },
    { field: 'POST content type', enter: 'application/json' },
    { field: 'Branch filter', enter: '*' },
    { field: 'Trigger on', enter: 'Custom events' },
  ],
  events: [
    one('Push', 'push'),
    one('Create', 'create'),
    one('Delete', 'delete'),
    one('Pull request: Modification', 'pull_request'),
    one('Pull request: Synchronized', 'pull_request'),
    one('Pull request: Labels', 'pull_request'),
    one(
      'Pull request: Reviews',
      'pull_request_approved',
      'pull_request_rejected',
      'pull_request_comment',
    ),
    one('Pull request: Comments', 'issue_comment'),
  ],
  notes: [
    'Without a secret it sends an empty signature, which is refused.',
    'An address within your own network must be in ALLOWED_HOST_LIST of its section [webhook].',
    '"Test delivery" at the end of the saved webhook sends a push that is made up.',
  ],
});

export const WEBHOOK_HOSTS: Readonly<Record<WebhookSource['provider'], WebhookHost>> = {
  github: {
    title: 'GitHub',
    menu: ['Settings', 'Webhooks', 'Add webhook'],
    urlField: 'Payload URL',
    secretField: 'Secret',
    secretHint: A_RANDOM_TEXT,
    entries: [
      { field: 'Content type', enter: 'application/json' },
      { field: 'SSL verification', enter: 'Enable SSL verification' },
      { field: 'Which events', enter: 'Let me select individual events' },
    ],
    events: [
      one('Pushes', 'push'),
      one('Branch or tag creation', 'create'),
      one('Branch or tag deletion', 'delete'),
      one('Pull requests', 'pull_request'),
      one('Pull request reviews', 'pull_request_review'),
      one('Pull request review comments', 'pull_request_review_comment'),
      one('Issue comments', 'issue_comment'),
      one('Check suites', 'check_suite'),
      one('Check runs', 'check_run'),
      one('Workflow runs', 'workflow_run'),
      one('Merge groups', 'merge_group'),
    ],
    notes: [
      'Adding the webhook sends a ping; "Recent Deliveries" shows the answer and sends it again.',
      'GitHub does not send again by itself what was not taken.',
    ],
  },
  gitlab: {
    title: 'GitLab',
    menu: ['Settings', 'Webhooks', 'Add new webhook'],
    urlField: 'URL',
    secretField: 'Secret token, or where there is one: Signing token',
    secretHint:
      'better a signing token, which begins with whsec_; else a random text as the secret token',
    entries: [{ field: 'SSL verification', enter: 'Enable SSL verification' }],
    events: [
      one('Push events', 'Push Hook'),
      one('Tag push events', 'Tag Push Hook'),
      one('Merge request events', 'Merge Request Hook'),
      one('Comments', 'Note Hook'),
      one('Confidential comments', 'Confidential Note Hook'),
      one('Pipeline events', 'Pipeline Hook'),
      one('Job events', 'Job Hook'),
    ],
    notes: [
      'Leave the custom webhook template empty: it would change the body.',
      'GitLab.com stops sending for a while after four refusals in a row: the page of the webhook says so.',
      '"Test" beside the saved webhook sends an event of the kind that you choose.',
    ],
  },
  'bitbucket-cloud': {
    title: 'Bitbucket Cloud',
    menu: ['Repository settings', 'Webhooks', 'Add webhook'],
    urlField: 'URL',
    secretField: 'Secret',
    secretHint: A_RANDOM_TEXT,
    entries: [
      { field: 'Status', enter: 'Active' },
      { field: 'Skip certificate verification', enter: 'leave it off' },
      { field: 'Triggers', enter: 'Choose from a full list of triggers' },
    ],
    events: [
      one('Repository: Push', 'repo:push'),
      one('Repository: Commit comment created', 'repo:commit_comment_created'),
      one(
        'Repository: Build status created, updated',
        'repo:commit_status_created',
        'repo:commit_status_updated',
      ),
      one('Pull request: Created', 'pullrequest:created'),
      one('Pull request: Updated', 'pullrequest:updated'),
      one('Pull request: Approved', 'pullrequest:approved'),
      one('Pull request: Approval removed', 'pullrequest:unapproved'),
      one('Pull request: Merged', 'pullrequest:fulfilled'),
      one('Pull request: Declined', 'pullrequest:rejected'),
      one(
        'Pull request: Comment created, updated, deleted',
        'pullrequest:comment_created',
        'pullrequest:comment_updated',
        'pullrequest:comment_deleted',
      ),
    ],
    notes: [
      'Without a secret it does not sign, and what is not signed is refused.',
      'There is no test button: push something. "View requests" shows the answers.',
    ],
  },
  'bitbucket-dc': {
    title: 'Bitbucket Data Center',
    menu: ['Repository settings', 'Webhooks', 'Create webhook'],
    urlField: 'URL',
    secretField: 'Secret',
    secretHint: A_RANDOM_TEXT,
    entries: [
      { field: 'Authentication', enter: 'None: the secret signs the body' },
      { field: 'Status', enter: 'Active' },
    ],
    events: [
      one('Repository: Push', 'repo:refs_changed'),
      one(
        'Repository: Comment added, edited, deleted',
        'repo:comment:added',
        'repo:comment:edited',
        'repo:comment:deleted',
      ),
      one('Pull request: Opened', 'pr:opened'),
      one('Pull request: Source branch updated', 'pr:from_ref_updated'),
      one('Pull request: Modified', 'pr:modified'),
      one('Pull request: Merged', 'pr:merged'),
      one('Pull request: Declined', 'pr:declined'),
      one('Pull request: Deleted', 'pr:deleted'),
      one('Pull request: Approved', 'pr:reviewer:approved'),
      one('Pull request: Unapproved', 'pr:reviewer:unapproved'),
      one('Pull request: Needs work', 'pr:reviewer:needs_work'),
      one(
        'Pull request: Comment added, edited, deleted',
        'pr:comment:added',
        'pr:comment:edited',
        'pr:comment:deleted',
      ),
    ],
    notes: [
      '"Test connection" sends a ping without a signature: that it is answered says nothing about the secret.',
    ],
  },
  'azure-repos': {
    title: 'Azure Repos',
    menu: ['Project settings', 'Service hooks', 'Create subscription', 'Web Hooks'],
    urlField: 'URL',
    secretField: 'Basic authentication username and password',
    secretHint: 'user:password, where the password is a random text; the form takes the two apart',
    entries: [
      { field: 'Resource details to send', enter: 'All' },
      { field: 'Messages to send', enter: 'All' },
      { field: 'Detailed messages to send', enter: 'All' },
      { field: 'Resource version', enter: '1.0, for comments 2.0' },
    ],
    events: [
      one('Code pushed', 'git.push'),
      one('Pull request created', 'git.pullrequest.created'),
      one('Pull request updated', 'git.pullrequest.updated'),
      one('Pull request merge attempted', 'git.pullrequest.merged'),
      one('Pull request commented on', 'ms.vss-code.git-pullrequest-comment-event'),
      one('Build completed', 'build.complete'),
    ],
    notes: [
      'One subscription has one event: create one for each, with the same address and password.',
      'Basic authentication needs an address that begins with https.',
      '"Test" sends a sample of the Fabrikam project.',
    ],
  },
  gitea: giteaLike('Gitea'),
  forgejo: giteaLike('Forgejo'),
};
