import { z } from 'zod';

/** The Git hosts. */
export const PROVIDERS = [
  'github',
  'gitlab',
  'bitbucket-cloud',
  'bitbucket-dc',
  'azure-repos',
  'gitea',
  'forgejo',
] as const;

/** A secret that deliveries may be signed with, until `expiresAt` if there is one. */
export type SourceSecret = Readonly<{ value: string; expiresAt: Date | null }>;

/** A configured sender of webhooks: its deliveries come in at `/webhooks/<name>`. */
export type WebhookSource = Readonly<{
  name: string;
  provider: (typeof PROVIDERS)[number];
  /** Newest first; any that has not expired is valid. */
  secrets: readonly SourceSecret[];
  /** Full names of the repositories that may start jobs; null: all. */
  repositories: readonly string[] | null;
  maxPerMinute: number | null;
  allowedIps: readonly string[] | null;
  /** Logins under which workflows act on the host: their own doings start no job. */
  ownAccounts?: readonly string[] | undefined;
  /** Logins that may give commands in comments, beside those who the host says are members of the repository. */
  commandAuthors?: readonly string[] | undefined;
  /** How long the bodies of its deliveries are kept; without it, as `DELIVERY_KEEP_DAYS` says. */
  keepDays?: number | undefined;
  /** How much of them is kept; without it, as `DELIVERY_KEEP_MEGABYTES` says. */
  keepMegabytes?: number | undefined;
  /** Which facts of its deliveries may start jobs, beside `repositories`; without it, all. */
  filters?: SourceFilters | undefined;
}>;

/**
 * A fact passes when each field of `only` has one of the values, and no field of `except` does. A fact that has
 * nothing in a field of `only` does not pass, except for `path`: see there.
 */
export type SourceFilters = Readonly<{ only?: FactFilter; except?: FactFilter }>;

export type FactFilter = Readonly<{
  event?: readonly string[];
  action?: readonly string[];
  /** Of a pull request the branch that it goes into, else the branch or tag. */
  branch?: readonly string[];
  /** Logins, as the host states them; upper and lower case are the same. */
  author?: readonly string[];
  /** Names of labels of the pull request. */
  label?: readonly string[];
  /** Whether the pull request is a draft; where the host does not say, it is none. */
  draft?: boolean;
  /**
   * Patterns of files that a push changed (`*`, `?`, `**`). `only` wants one such file, `except` leaves out what changed
   * nothing else. Where the host does not name the files, or not all of them, it passes.
   */
  path?: readonly string[];
}>;

const texts = z.array(z.string().min(1)).min(1).exactOptional();

const Filter = z.strictObject({
  event: texts,
  action: texts,
  branch: texts,
  author: texts,
  label: texts,
  draft: z.boolean().exactOptional(),
  path: texts,
});

const FileOfSources = z.array(
  z.strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower case letters, digits and hyphens'),
    provider: z.enum(PROVIDERS),
    secrets: z
      .array(
        z.strictObject({
          value: z.string().min(1).optional(),
          env: z.string().min(1).optional(),
          expiresAt: z.iso.datetime({ offset: true }).optional(),
        }),
      )
      .min(1),
    repositories: z.array(z.string()).optional(),
    maxPerMinute: z.int().min(1).optional(),
    allowedIps: z
      .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], 'an address or a CIDR range'))
      .optional(),
    ownAccounts: z.array(z.string().min(1)).optional(),
    commandAuthors: z.array(z.string().min(1)).optional(),
    keepDays: z.int().min(1).max(36_500).optional(),
    keepMegabytes: z.int().min(1).optional(),
    filters: z
      .strictObject({ only: Filter.exactOptional(), except: Filter.exactOptional() })
      .optional(),
  }),
);

/** The variable whose secrets make a source of the provider's name. */
export const secretVariable = (provider: string): string => variableOf(provider, 'WEBHOOK_SECRET');

const variableOf = (provider: string, what: string): string =>
  `${provider.toUpperCase().replaceAll('-', '_')}_${what}`;

/** The variable with the logins of our own accounts, for the source of the provider's name. */
const ownAccountsVariable = (provider: string): string => variableOf(provider, 'OWN_ACCOUNTS');

/** The variable with the logins that may give commands, for the source of the provider's name. */
const commandAuthorsVariable = (provider: string): string =>
  variableOf(provider, 'COMMAND_AUTHORS');

export const SOURCE_VARIABLES: readonly string[] = [
  ...PROVIDERS.map(secretVariable),
  ...PROVIDERS.map(ownAccountsVariable),
  ...PROVIDERS.map(commandAuthorsVariable),
  'WEBHOOK_SOURCES',
];

type Env = Readonly<Record<string, string | undefined>>;

/** The sources of the `<PROVIDER>_WEBHOOK_SECRET` variables and of the file that `WEBHOOK_SOURCES` names. */
export function readSources(
  env: Env,
  readFile: (path: string) => string,
): Readonly<{ sources: readonly WebhookSource[]; mistakes: readonly string[] }> {
  const mistakes: string[] = [];
  const sources = [...fromVariables(env, mistakes), ...fromFile(env, readFile, mistakes)];
  const names = sources.map(({ name }) => name);
  for (const name of new Set(names.filter((each, index) => names.indexOf(each) !== index))) {
    mistakes.push(`WEBHOOK_SOURCES: the source "${name}" is there twice`);
  }
  return { sources, mistakes };
}

function fromVariables(env: Env, mistakes: string[]): WebhookSource[] {
  return PROVIDERS.flatMap((provider) => {
    const variable = secretVariable(provider);
    const text = env[variable];
    if (text === undefined) return [];
    const values = text.split(/\s+/).filter((value) => value !== '');
    if (values.length === 0) {
      mistakes.push(`${variable}: is empty; give a secret or leave the variable out`);
      return [];
    }
    const secrets = values.map((value) => ({ value, expiresAt: null }));
    const own = listed(env[ownAccountsVariable(provider)] ?? '');
    const commanding = listed(env[commandAuthorsVariable(provider)] ?? '');
    return [
      {
        name: provider,
        provider,
        secrets,
        repositories: null,
        maxPerMinute: null,
        allowedIps: null,
        ...(own.length === 0 ? {} : { ownAccounts: own }),
        ...(commanding.length === 0 ? {} : { commandAuthors: commanding }),
      },
    ];
  });
}

/** Logins at Bitbucket may have spaces. */
const listed = (text: string): readonly string[] =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');

function fromFile(
  env: Env,
  readFile: (path: string) => string,
  mistakes: string[],
): WebhookSource[] {
  const path = env['WEBHOOK_SOURCES'];
  if (path === undefined || path === '') return [];
  const parsed = parseFile(path, readFile, mistakes);
  return (parsed ?? []).map((source) => ({
    name: source.name,
    provider: source.provider,
    secrets: source.secrets.flatMap((secret) => {
      const value = secret.value ?? env[secret.env ?? ''];
      if (value === undefined || value === '') {
        const which =
          secret.env === undefined ? 'has neither value nor env' : `: ${secret.env} is not set`;
        mistakes.push(`WEBHOOK_SOURCES: a secret of "${source.name}" ${which}`);
        return [];
      }
      return [
        { value, expiresAt: secret.expiresAt === undefined ? null : new Date(secret.expiresAt) },
      ];
    }),
    repositories: source.repositories ?? null,
    maxPerMinute: source.maxPerMinute ?? null,
    allowedIps: source.allowedIps ?? null,
    ownAccounts: source.ownAccounts,
    commandAuthors: source.commandAuthors,
    keepDays: source.keepDays,
    keepMegabytes: source.keepMegabytes,
    filters: source.filters,
  }));
}

function parseFile(
  path: string,
  readFile: (path: string) => string,
  mistakes: string[],
): z.infer<typeof FileOfSources> | null {
  let content: unknown;
  try {
    content = JSON.parse(readFile(path));
  } catch (error) {
    // A JSON error quotes the text around the fault, which may be a secret.
    const why = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    mistakes.push(`WEBHOOK_SOURCES: ${path} ${why}`);
    return null;
  }
  const parsed = FileOfSources.safeParse(content);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    mistakes.push(`WEBHOOK_SOURCES: ${path}: ${issue.path.join('.')}: ${issue.message}`);
  }
  return null;
}
