import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';

import { NonRetriable } from '../../../sdk/index.ts';
import { sampleDirectory } from '../sample-directory.ts';
import { type CloneUrl, parseCloneUrl, printable } from './clone-url.ts';

const PUBLIC_HOSTS = [
  'https://github.com/',
  'https://gitlab.com/',
  'https://bitbucket.org/',
  'https://dev.azure.com/',
  'https://gitea.com/',
  'https://codeberg.org/',
];

/** The prefixes that let a clone URL be fetched; each was parsed like the URL that it is compared with. */
export type AllowList = readonly CloneUrl[];

/** Throws a TypeError that names the entry which is no prefix. The sample's folder is always allowed: we write it. */
export function allowListOf(cloneAllow: readonly string[] | null, dataDir: string): AllowList {
  const prefixes = [...(cloneAllow ?? PUBLIC_HOSTS), pathToFileURL(sampleDirectory(dataDir)).href];
  return prefixes.map((prefix) => {
    const parsed = parseCloneUrl(prefix);
    if (typeof parsed !== 'string') return parsed;
    throw new TypeError(
      `CLONE_ALLOW: "${printable(prefix)}" is not a prefix of clone URLs: ${parsed}. Write for example https://github.com/acme/ or file:///srv/git/`,
    );
  });
}

/** Gives the URL that git may fetch; throws NonRetriable, which says why, for every other. */
export async function allowed(list: AllowList, cloneUrl: string): Promise<CloneUrl> {
  const url = parseCloneUrl(cloneUrl);
  if (typeof url === 'string') throw notAllowed(cloneUrl, url);
  if (url.segments.length === 0) throw notAllowed(cloneUrl, 'it names a host, not a repository');
  const prefix = list.find((entry) => isWithin(url, entry));
  if (!prefix) {
    throw notAllowed(
      cloneUrl,
      `no prefix of CLONE_ALLOW lets it be fetched. Add ${url.origin}/${url.segments.slice(0, 1).join('/')}/ or a longer prefix of it to CLONE_ALLOW`,
    );
  }
  if (url.path !== null && prefix.path !== null) await assertFolder(url, url.path, prefix.path);
  return url;
}

/** Whole parts are compared: `/acme` lets `/acme/app` through and not `/acme-evil/app`. */
function isWithin(url: CloneUrl, prefix: CloneUrl): boolean {
  return (
    url.origin === prefix.origin &&
    prefix.segments.every((segment, index) => segment === url.segments[index])
  );
}

/** A link inside an allowed folder does not lead out of it. */
async function assertFolder(url: CloneUrl, path: string, prefixPath: string): Promise<void> {
  const [folder, root] = await Promise.all([realFolder(path), realpath(prefixPath).catch(nowhere)]);
  if (folder === null || root === null) {
    throw new NonRetriable(
      `Repository ${url.href} does not exist on this machine: check the clone URL`,
    );
  }
  const inside = relative(root, folder);
  if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw notAllowed(url.href, 'a link leads out of the folder that CLONE_ALLOW lets through');
  }
}

/** Git opens `app.git` when `app` is asked for and is not there. */
const realFolder = async (path: string): Promise<string | null> =>
  (await realpath(path).catch(nowhere)) ??
  realpath(join(path, '..', `${path.slice(path.lastIndexOf('/') + 1)}.git`)).catch(nowhere);

const nowhere = (): null => null;

const notAllowed = (url: string, reason: string): NonRetriable =>
  new NonRetriable(`Repository ${printable(url)} is not allowed: ${reason}`);
