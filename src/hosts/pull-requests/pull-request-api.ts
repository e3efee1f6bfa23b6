import type { HostClient } from '../host-client.ts';

/** A pull request as its host has it now. Its texts are the host's and of strangers: check them before use. */
export type HostPullRequest = Readonly<{
  repository: Readonly<{ fullName: string; url: string | null; cloneUrl: string | null }>;
  number: number;
  title: string;
  url: string | null;
  author: string | null;
  /** null where the fork is gone, or cannot be seen. */
  headRepository: string | null;
  headBranch: string;
  headSha: string;
  baseBranch: string;
  baseSha: string | null;
}>;

/** Throws `HostRefused`, `RetryAfter`, a ZodError for an answer of another shape, and other errors that may pass. */
export type PullRequestApi = Readonly<{
  /** Those that are open, up to a bounded number. */
  open: (client: HostClient, repository: string) => Promise<readonly HostPullRequest[]>;
  find: (client: HostClient, repository: string, number: number) => Promise<HostPullRequest>;
}>;

/** So many open pull requests of one repository are looked at. */
const MOST = 1_000;

/** Asks for page after page, each from where the last one says; null: there is no more. */
export async function allPages<Item, Place>(
  first: Place,
  read: (place: Place) => Promise<Readonly<{ items: readonly Item[]; next: Place | null }>>,
): Promise<readonly Item[]> {
  const all: Item[] = [];
  let place: Place | null = first;
  while (place !== null && all.length < MOST) {
    const page: Readonly<{ items: readonly Item[]; next: Place | null }> = await read(place);
    all.push(...page.items);
    place = page.next;
  }
  return all;
}

/** The next of pages that are counted, after one that was full. */
export const nextOf = (items: readonly unknown[], size: number, page: number): number | null =>
  items.length < size ? null : page + 1;
