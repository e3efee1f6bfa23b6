import type { HostAccess } from './host-access.ts';

export type HostAddress = Readonly<{
  /** For people. */
  name: string;
  apiUrl: string;
  /** The variables that hold the token and the address. */
  tokenVariable: string;
  urlVariable: string;
  /** With the token in them. */
  headers: Readonly<Record<string, string>>;
}>;

type Headers = Readonly<Record<string, string>>;

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const token = (text: string): Headers => ({ authorization: `token ${text}` });

/** What each host is called, and how it wants the token. */
const HOSTS: Readonly<
  Record<string, Readonly<{ name: string; headers: (token: string) => Headers }>>
> = {
  github: {
    name: 'GitHub',
    headers: (text) => ({
      accept: 'application/vnd.github+json',
      authorization: `Bearer ${text}`,
      'x-github-api-version': '2022-11-28',
    }),
  },
  gitlab: { name: 'GitLab', headers: (text) => ({ 'private-token': text }) },
  'bitbucket-cloud': {
    name: 'Bitbucket Cloud',
    // A token of a person goes with their address, as email:token.
    headers: (text) => ({ authorization: text.includes(':') ? basic(text) : `Bearer ${text}` }),
  },
  'bitbucket-dc': {
    name: 'Bitbucket Data Center',
    headers: (text) => ({ authorization: `Bearer ${text}`, 'x-atlassian-token': 'no-check' }),
  },
  'azure-repos': {
    name: 'Azure Repos',
    headers: (text) => ({ authorization: basic(`:${text}`) }),
  },
  gitea: { name: 'Gitea', headers: token },
  forgejo: { name: 'Forgejo', headers: token },
};

/** null: there is no such host. */
export function addressOf(
  provider: string,
  { token: secret, apiUrl }: HostAccess,
): HostAddress | null {
  const host = Object.hasOwn(HOSTS, provider) ? HOSTS[provider] : undefined;
  if (host === undefined) return null;
  const variable = provider.toUpperCase().replaceAll('-', '_');
  return {
    name: host.name,
    apiUrl,
    tokenVariable: `${variable}_TOKEN`,
    urlVariable: `${variable}_API_URL`,
    headers: host.headers(secret),
  };
}
