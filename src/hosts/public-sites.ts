/** Where the repositories are that a public API knows. */
const SITES: Readonly<Record<string, RegExp>> = {
  'api.github.com': /^github\.com$/,
  'gitlab.com': /^gitlab\.com$/,
  'api.bitbucket.org': /^bitbucket\.org$/,
  'dev.azure.com': /^(?:dev\.azure\.com|[\w-]+\.visualstudio\.com)$/,
  'gitea.com': /^gitea\.com$/,
  'codeberg.org': /^codeberg\.org$/,
};

/**
 * Whether a repository is one that the API knows: the names of the sample's and of another server's repositories may
 * be those of strangers on a public host. Which address a server of one's own shows to others, nobody can tell.
 */
export function isSiteOf(apiUrl: string, cloneUrl: string | null): boolean {
  const site = SITES[new URL(apiUrl).host];
  if (cloneUrl === null || !URL.canParse(cloneUrl)) return site === undefined;
  const { protocol, hostname } = new URL(cloneUrl);
  return (protocol === 'https:' || protocol === 'http:') && (site?.test(hostname) ?? true);
}
