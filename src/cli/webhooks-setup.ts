import { Command } from 'commander';

import { type Config, readConfig } from '../platform/config.ts';
import { type WebhookSource, secretVariable } from '../platform/webhook-sources.ts';
import { madeSecretFile } from '../processes/sample-source.ts';
import { ingressOf, webhookAddress } from './ingress-address.ts';
import { print, printJson } from './output.ts';
import { providerNamed } from './provider-named.ts';
import { Usage } from './usage.ts';
import { WEBHOOK_HOSTS, type WebhookHost } from './webhook-hosts.ts';

type SetupOptions = Readonly<{ url?: string; source?: string; json?: boolean }>;

/** Everything that the form of the host asks for; of the secret only where it stands. */
type Setup = Pick<WebhookHost, 'title' | 'menu' | 'entries' | 'events'> &
  Readonly<{
    provider: WebhookSource['provider'];
    source: string;
    url: string;
    urlField: string;
    secret: Readonly<{ field: string; from: string; hint: string; isSet: boolean }>;
    notes: readonly string[];
  }>;

export function setupCommand(): Command {
  return new Command('setup')
    .description('what to enter where at the Git host; never shows the secret')
    .argument('<provider>', Object.keys(WEBHOOK_HOSTS).join(', '))
    .option('--url <url>', 'where the host reaches the ingress, as https://hooks.example.com')
    .option('--source <name>', "the configured source; by default the one of the provider's name")
    .option('--json', 'print JSON')
    .action((name: string, options: SetupOptions) => {
      const setup = setupOf(readConfig(), name, options);
      if (options.json) printJson(setup);
      else print(linesOf(setup).join('\n'));
    });
}

function setupOf(config: Config, name: string, options: SetupOptions): Setup {
  const provider = providerNamed(name);
  const source = sourceOf(config, provider, options.source);
  const url = webhookAddress(addressOf(config, options), source.name);
  const { secretField, secretHint, notes, ...host } = WEBHOOK_HOSTS[provider];
  return {
    provider,
    source: source.name,
    url,
    ...host,
    secret: {
      field: secretField,
      from: source.from,
      hint: secretHint,
      isSet: source.isSet,
    },
    notes: [...warnings(url, provider), ...notes],
  };
}

function addressOf(config: Config, { url }: SetupOptions): string {
  if (url === undefined) return ingressOf(config);
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new Usage(`"${url}" is not an address: write it as https://hooks.example.com`);
}

type Configured = Readonly<{ name: string; from: string; isSet: boolean }>;

function sourceOf(
  config: Config,
  provider: WebhookSource['provider'],
  given: string | undefined,
): Configured {
  const { sources } = config;
  const name = given ?? provider;
  const known = sources.find((each) => each.name === name);
  if (known !== undefined && known.provider !== provider) {
    throw new Usage(`The source "${name}" is of ${known.provider}, not of ${provider}`);
  }
  if (name === provider) return usualSource(config, provider);
  if (known === undefined) {
    const names = sources.filter((each) => each.provider === provider).map((each) => each.name);
    throw new Usage(
      `There is no source "${name}" of ${provider}${names.length > 0 ? `: there is ${names.join(', ')}` : ''}; the file that WEBHOOK_SOURCES names makes one`,
    );
  }
  const from = `the file that WEBHOOK_SOURCES names, the first one of "${name}"`;
  return { name, from, isSet: true };
}

/** The source that a variable makes, or for `start` a file. */
function usualSource(config: Config, provider: WebhookSource['provider']): Configured {
  const isConfigured = config.sources.some((each) => each.name === provider);
  const made = provider === 'github' && !isConfigured ? madeSecretFile(config) : null;
  const from = made === null ? secretVariable(provider) : `the file ${made}`;
  return { name: provider, from, isSet: isConfigured || made !== null };
}

function warnings(url: string, provider: WebhookSource['provider']): readonly string[] {
  const { protocol, hostname } = new URL(url);
  const isHere = ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0'].includes(hostname);
  return [
    ...(isHere
      ? ['This address is reached from this machine only: give the public one with --url.']
      : []),
    ...(!isHere && protocol === 'http:' && provider !== 'azure-repos'
      ? ['The address begins with http: anybody on the way can read what is sent. Use https.']
      : []),
  ];
}

function linesOf({ title, menu, source, url, urlField, ...setup }: Setup): readonly string[] {
  const { secret, entries, events, notes } = setup;
  const fields = [{ field: urlField, enter: url }, ...entries];
  const width = Math.max(...fields.map(({ field }) => field.length), secret.field.length);
  const line = (field: string, enter: string): string => `  ${field.padEnd(width)}  ${enter}`;
  const isSet = secret.isSet ? 'which is set' : `which is not set: ${secret.hint}`;
  return [
    `${title}, source "${source}"`,
    '',
    `Open: ${menu.join(' > ')}`,
    '',
    ...fields.map(({ field, enter }) => line(field, enter)),
    line(secret.field, `the secret in ${secret.from}, ${isSet}`),
    '',
    'Select these events:',
    ...events.map(({ label, sent }) => `  ${label} (${sent.join(', ')})`),
    '',
    ...notes.map((note) => `- ${note}`),
    '',
    `Then wait for its first delivery: jobledger webhooks listen --source ${source}`,
  ];
}
