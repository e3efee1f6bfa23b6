import type { WebhookSource } from './webhook-sources.ts';

/** What lets `code-review` report to one host. */
export type HostAccess = Readonly<{ token: string; apiUrl: string }>;

/** By provider; one without a token is not there. */
export type Reporting = Readonly<Partial<Record<WebhookSource['provider'], HostAccess>>>;

/** Of the public hosts; null: there is none, or each customer has an address of their own. */
const API_URLS = {
  github: 'https://api.github.com',
  gitlab: 'https://gitlab.com/api/v4',
  'bitbucket-cloud': 'https://api.bitbucket.org/2.0',
  'bitbucket-dc': null,
  'azure-repos': null,
  gitea: 'https://gitea.com/api/v1',
  forgejo: 'https://codeberg.org/api/v1',
} as const satisfies Record<WebhookSource['provider'], string | null>;

const EXAMPLES: Readonly<Record<string, string>> = {
  'bitbucket-dc': 'https://bitbucket.example/rest',
  'azure-repos': 'https://dev.azure.com/<organization>',
};

const PROVIDERS = Object.keys(API_URLS) as readonly WebhookSource['provider'][];

const variableOf = (provider: string, what: 'TOKEN' | 'API_URL'): string =>
  `${provider.toUpperCase().replaceAll('-', '_')}_${what}`;

export const REPORTING_VARIABLES: readonly string[] = PROVIDERS.flatMap((provider) => [
  variableOf(provider, 'TOKEN'),
  variableOf(provider, 'API_URL'),
]);

type Env = Readonly<Record<string, string | undefined>>;

/** The hosts of the `<PROVIDER>_TOKEN` variables. No token is in a mistake. */
export function readReporting(
  env: Env,
): Readonly<{ reporting: Reporting; mistakes: readonly string[] }> {
  const mistakes: string[] = [];
  const entries = PROVIDERS.flatMap((provider) => {
    const access = accessTo(provider, env, mistakes);
    return access === null ? [] : [[provider, access] as const];
  });
  return { reporting: Object.fromEntries(entries), mistakes };
}

function accessTo(
  provider: WebhookSource['provider'],
  env: Env,
  mistakes: string[],
): HostAccess | null {
  const tokenVariable = variableOf(provider, 'TOKEN');
  const urlVariable = variableOf(provider, 'API_URL');
  const token = env[tokenVariable] ?? '';
  const given = env[urlVariable] ?? '';
  const apiUrl = given === '' ? API_URLS[provider] : apiUrlOf(given);
  if (given !== '' && apiUrl === null) {
    mistakes.push(
      `${urlVariable}: must be a URL that begins with https:// or http://, without a user, a query and a fragment`,
    );
    return null;
  }
  if (token === '') return null;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    mistakes.push(`${tokenVariable}: has characters that no token has, such as a space`);
    return null;
  }
  if (apiUrl !== null) return { token, apiUrl };
  const example = EXAMPLES[provider] ?? '';
  mistakes.push(`${tokenVariable}: needs ${urlVariable} too, for example ${example}`);
  return null;
}

/** Without a slash at its end; null when it is not one. */
function apiUrlOf(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const { protocol, username, password, search, hash, href } = new URL(text);
  const isPlain = username === '' && password === '' && search === '' && hash === '';
  if (!isPlain || (protocol !== 'https:' && protocol !== 'http:')) return null;
  return href.replace(/[?#]*$/, '').replace(/\/+$/, '');
}
