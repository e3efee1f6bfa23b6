import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { Trigger } from '../../../src/events/trigger.ts';
import type { WebhookProvider } from '../../../src/ingress/webhooks/provider.ts';

// Payloads of others, read where they are: their licences don't let them into the repository.
const FOLDER = resolve('../shared/fixtures/webhooks');

export const haveFixtures = existsSync(join(FOLDER, 'manifest.json'));

/** For the name of a suite, so that a run says what it could not do. */
export const fixturesNote = haveFixtures
  ? ''
  : ' (skipped: ../shared/fixtures/webhooks is missing)';

type ProviderName = WebhookProvider['name'];

export type Facts = Readonly<{
  provider: ProviderName;
  event: string;
  action: string;
  repository: string | null;
  pr_number: number | null;
  head_sha: string | null;
  base_sha: string | null;
  head_ref: string | null;
  base_ref: string | null;
  head_repository: string | null;
  sender_login: string | null;
  title: string | null;
  clone_url: string | null;
  suggest_job: boolean;
}>;

export type Fixture = Readonly<{
  id: string;
  file: string;
  host: ProviderName;
  event_header: Readonly<{ name: string | null; value: string | null }>;
  delivery_id_header: string | null;
  content_type: string;
  expected: readonly Facts[];
  accept: Readonly<Record<string, readonly unknown[]>> | null;
}>;

export type Vector = Readonly<{
  id: string;
  host: ProviderName;
  header: string;
  value: string;
  secret: string;
  body?: string;
  body_file?: string;
  headers?: Readonly<Record<string, string>>;
  content_type?: string;
  active_secrets?: readonly string[];
  valid: boolean;
}>;

export type Attack = Readonly<{
  id: string;
  name: string;
  how: string;
  expect_status: number | string;
  expect_stored: string;
}>;

const readJson = (name: string): unknown => JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));

export const readFixture = (file: string): Buffer => readFileSync(join(FOLDER, file));

export function fixtures(...hosts: readonly ProviderName[]): readonly Fixture[] {
  if (!haveFixtures) return [];
  const { fixtures: all } = readJson('manifest.json') as { fixtures: readonly Fixture[] };
  return hosts.length === 0 ? all : all.filter(({ host }) => hosts.includes(host));
}

export function fixture(id: string): Fixture {
  const found = fixtures().find((each) => each.id === id);
  if (found === undefined) throw new Error(`There is no fixture "${id}" in the manifest`);
  return found;
}

export function vectors(...hosts: readonly ProviderName[]): readonly Vector[] {
  if (!haveFixtures) return [];
  const { vectors: all } = readJson('signature-vectors.json') as {
    vectors: readonly Vector[];
  };
  return hosts.length === 0 ? all : all.filter(({ host }) => hosts.includes(host));
}

export function attacks(): readonly Attack[] {
  if (!haveFixtures) return [];
  return (readJson('attacks.json') as { attacks: readonly Attack[] }).attacks;
}

/** The manifest's words for a trigger. A trigger has no place for the title of what is no pull request. */
export function factsOf(trigger: Omit<Trigger, 'source' | 'deliveryId'>): Record<string, unknown> {
  return {
    provider: trigger.provider,
    event: trigger.event,
    action: trigger.action,
    head_sha: trigger.headSha,
    base_sha: trigger.baseSha,
    head_ref: trigger.ref,
    sender_login: trigger.sender,
    ...repositoryFacts(trigger.repository),
    ...pullRequestFacts(trigger.pullRequest),
  };
}

const repositoryFacts = (repository: Trigger['repository']): Record<string, unknown> => ({
  repository: repository?.fullName ?? null,
  clone_url: repository?.cloneUrl ?? null,
});

const pullRequestFacts = (pullRequest: Trigger['pullRequest']): Record<string, unknown> => ({
  pr_number: pullRequest?.number ?? null,
  base_ref: pullRequest?.baseBranch ?? null,
  head_repository: pullRequest?.headRepository ?? null,
  title: pullRequest?.title ?? null,
});

/** The facts that the manifest expects, without what a trigger has no place for. */
export function expectedFacts({
  pr_number,
  title,
  base_ref,
  ...facts
}: Facts): Record<string, unknown> {
  const { suggest_job: _, ...rest } = facts;
  const ofPullRequest = pr_number !== null;
  return {
    ...rest,
    pr_number,
    title: ofPullRequest ? title : null,
    base_ref: ofPullRequest ? base_ref : null,
  };
}
