import type { HostPullRequest } from '../../hosts/pull-requests/pull-request-api.ts';
import type { PullRequest, Repository } from '../../events/trigger.ts';
import { pullRequestApiOf } from '../../hosts/pull-requests.ts';
import type { Queryable } from '../../platform/database.ts';
import { derivedId } from '../../platform/ids.ts';
import { sql } from '../../platform/sql.ts';
import { DecideJob, type Door, type ReceivedDelivery } from '../../write/door.ts';
import { type Plan, planJobs } from '../webhooks/plan-jobs.ts';
import { type Fact, Unmappable } from '../webhooks/provider.ts';
import {
  cloneUrl,
  fullName,
  login,
  pullRequestNumber,
  refName,
  shortSha,
  title,
  webUrl,
} from '../webhooks/sanitise.ts';
import type { Asking, LostHead } from './report.ts';

/** What was seen longer ago was seen by a job. */
const SEEN_MS = 30 * 24 * 3_600_000;

export type HeadRules = Readonly<{
  door: Door;
  plan: Plan;
  /**
   * Whether a head is missing for long enough; told of every one that is. What was pushed a moment ago is still on its
   * way.
   */
  isDue: (key: string) => boolean;
}>;

/**
 * Requests the jobs that the workflows want for the heads of the open pull requests that nobody has told of, through the
 * source's rules of today. A head has its jobs once: their ids follow from it.
 */
export async function reconcileHeads(
  repository: string,
  asking: Asking,
  rules: HeadRules,
): Promise<readonly LostHead[]> {
  const { source, client, database } = asking;
  const open = await pullRequestApiOf(source.provider)?.open(client, repository);
  const facts = (open ?? []).flatMap((each) => factOf(each) ?? []);
  const unseen = await neverSeen(database, source.name, { facts, now: asking.now });
  const lost: LostHead[] = [];
  for (const fact of unseen) lost.push(...(await requestJobs(fact, asking, rules)));
  return lost;
}

type PullRequestFact = Fact &
  Readonly<{ repository: Repository; pullRequest: PullRequest; headSha: string }>;

/** null: it cannot be used. */
function factOf(it: HostPullRequest): PullRequestFact | null {
  try {
    const headSha = shortSha(it.headSha, 'The head');
    if (headSha === null) return null;
    const baseSha = shortSha(it.baseSha, 'The base');
    return {
      event: 'pull_request',
      action: 'opened',
      repository: {
        fullName: fullName(it.repository.fullName),
        url: webUrl(it.repository.url),
        cloneUrl: cloneUrl(it.repository.cloneUrl),
      },
      pullRequest: {
        number: pullRequestNumber(it.number),
        title: title(it.title),
        url: webUrl(it.url),
        headRepository: it.headRepository === null ? null : fullName(it.headRepository),
        baseBranch: refName(it.baseBranch, 'The base branch'),
        baseSha,
      },
      ref: refName(it.headBranch, 'The head branch'),
      headSha,
      baseSha,
      sender: login(it.author),
    };
  } catch (error) {
    if (error instanceof Unmappable) return null;
    throw error;
  }
}

/** The facts whose head neither a job nor a delivery of that pull request has; of one that is known, the head is new. */
async function neverSeen(
  database: Queryable,
  source: string,
  { facts, now }: Readonly<{ facts: readonly PullRequestFact[]; now: Date }>,
): Promise<readonly PullRequestFact[]> {
  const [first] = facts;
  if (first === undefined) return [];
  const repository = first.repository.fullName;
  const heads = facts.map(({ headSha }) => headSha);
  const numbers = facts.map(({ pullRequest }) => pullRequest.number);
  const since = new Date(now.getTime() - SEEN_MS);
  const rows = await database.query<{ number: number; head: string | null }>(sql`
    select pull_request as number, head_sha as head from read.jobs
    where repository = ${repository} and source = ${source} and head_sha = any (${heads}::text[])
      and pull_request is not null
    union
    select (fact -> 'pullRequest' ->> 'number')::int, fact ->> 'headSha'
    from ingress.deliveries, json_array_elements(triggers) as fact
    where source = ${source} and repository = ${repository} and received_at > ${since}
      and fact -> 'pullRequest' ->> 'number' = any (${numbers.map(String)}::text[])`);
  const seen = new Set(rows.map(({ number, head }) => `${String(number)} ${String(head)}`));
  const known = new Set(rows.map(({ number }) => number));
  return facts
    .filter(({ pullRequest, headSha }) => !seen.has(`${String(pullRequest.number)} ${headSha}`))
    .map((fact) => (known.has(fact.pullRequest.number) ? pushedTo(fact) : fact));
}

const pushedTo = (fact: PullRequestFact): PullRequestFact => ({ ...fact, action: 'synchronize' });

async function requestJobs(
  fact: PullRequestFact,
  { source, now, dryRun }: Asking,
  { door, plan, isDue }: HeadRules,
): Promise<readonly LostHead[]> {
  const { repository, pullRequest, headSha } = fact;
  const about = [source.name, repository.fullName, String(pullRequest.number), headSha];
  if (!isDue(about.join(' '))) return [];
  const jobs = jobsFor(fact, {
    source,
    plan,
    deliveryId: `reconciled:${about.slice(1).join(':')}`,
  });
  const lost: LostHead[] = [];
  for (const { trigger, planned } of jobs) {
    const { workflow } = planned;
    const jobId = derivedId('reconciled', ...about, workflow);
    const data = { ...planned, trigger, input: null, deliveryId: null };
    const command = { type: 'RequestJob', at: now, data } as const;
    const isNew =
      dryRun ||
      (await door.execute(new DecideJob(jobId, command, { actor: 'reconciler' }))).events.length >
        0;
    const { number } = pullRequest;
    if (isNew) {
      lost.push({ repository: repository.fullName, pullRequest: number, headSha, workflow, jobId });
    }
  }
  return lost;
}

/** As if a delivery had told of it just now. */
function jobsFor(
  fact: Fact,
  rules: Readonly<{ source: Asking['source']; plan: Plan; deliveryId: string }>,
): ReceivedDelivery['jobs'] {
  const read = {
    kind: 'read',
    event: fact.event,
    action: fact.action,
    deliveryId: rules.deliveryId,
    key: null,
    facts: [fact],
    dropped: 0,
    withheld: null,
    unmappable: false,
    redactedBody: null,
    fault: null,
  } as const;
  return planJobs(read, { ...rules, localClones: [] }).jobs;
}
