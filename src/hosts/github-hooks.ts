import { z } from 'zod';

import { HostRefused } from './host-access.ts';
import { type HostClient, ownerAndName, path } from './host-client.ts';

/** A webhook of a repository or of an organisation, at GitHub. */
export type GithubHook = Readonly<{
  /** Its address below the API's own. */
  path: string;
  /** Where it sends to. */
  url: string;
}>;

/** One time that GitHub sent a delivery: a redelivery is another attempt with the same `guid`. */
export type GithubAttempt = Readonly<{
  id: string;
  guid: string;
  event: string;
  /** Of the answer; 0 when there was none. */
  statusCode: number;
  at: Date;
}>;

const Hooks = z.array(
  z.object({
    id: z.union([z.int(), z.string()]),
    active: z.boolean(),
    config: z.object({ url: z.string().optional() }),
  }),
);

const Attempts = z.array(
  z.object({
    id: z.union([z.int(), z.string().regex(/^\d+$/)]),
    guid: z.string(),
    event: z.string(),
    status_code: z.int().nullish(),
    delivered_at: z.string(),
  }),
);

const PAGE = 100;
const MAX_PAGES = 30;

/**
 * The active hooks of a repository and of its organisation. Those that the token may not see are left out; null when it
 * may see neither kind.
 */
export async function githubHooks(
  client: HostClient,
  repository: string,
): Promise<readonly GithubHook[] | null> {
  const [owner, name] = ownerAndName(repository);
  const ofRepository = await hooksBelow(client, path`/repos/${owner}/${name}/hooks`);
  const ofOrganisation = await hooksBelow(client, path`/orgs/${owner}/hooks`);
  if (ofRepository === null && ofOrganisation === null) return null;
  return [...(ofRepository ?? []), ...(ofOrganisation ?? [])];
}

async function hooksBelow(
  client: HostClient,
  folder: string,
): Promise<readonly GithubHook[] | null> {
  try {
    const hooks = Hooks.parse(await client.send('GET', `${folder}?per_page=${String(PAGE)}`));
    return hooks
      .filter(({ active }) => active)
      .map(({ id, config }) => ({ path: `${folder}${path`/${id}`}`, url: config.url ?? '' }));
  } catch (error) {
    const isHidden = error instanceof HostRefused && (error.status === 403 || error.status === 404);
    if (isHidden) return null;
    throw error;
  }
}

/** What a hook has sent since then, the newest first, as far as GitHub remembers and a bounded number of pages go. */
export async function* githubAttempts(
  client: HostClient,
  hook: GithubHook,
  since: Date,
): AsyncGenerator<GithubAttempt> {
  let cursor: string | null = null;
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const after: string = cursor === null ? '' : path`&cursor=${cursor}`;
    const { body, headers } = await client.read(
      `${hook.path}/deliveries?per_page=${String(PAGE)}${after}`,
    );
    for (const { id, status_code: statusCode, delivered_at: at, ...rest } of Attempts.parse(body)) {
      if (new Date(at) < since) return;
      yield { ...rest, id: String(id), statusCode: statusCode ?? 0, at: new Date(at) };
    }
    cursor = nextCursor(headers);
    if (cursor === null) return;
  }
}

/** Asks GitHub to send a delivery again; it comes under the same `guid`. */
export async function redeliverAtGithub(
  client: HostClient,
  hook: GithubHook,
  { id }: GithubAttempt,
): Promise<void> {
  await client.send('POST', `${hook.path}${path`/deliveries/${id}/attempts`}`);
}

/** Only the cursor of the link is used: the rest of it is an address that somebody else made. */
function nextCursor(headers: Headers): string | null {
  const [, url] = /<([^>]*)>;\s*rel="next"/.exec(headers.get('link') ?? '') ?? [];
  return url !== undefined && URL.canParse(url) ? new URL(url).searchParams.get('cursor') : null;
}
