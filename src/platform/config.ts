import { readFileSync } from 'node:fs';

import { z } from 'zod';

import type { LogLevel } from './logger.ts';
import { REPORTING_VARIABLES, type Reporting, readReporting } from './reporting.ts';
import { SOURCE_VARIABLES, type WebhookSource, readSources } from './webhook-sources.ts';

export type ApiKeyRole = 'viewer' | 'operator' | 'admin';

export type Config = Readonly<{
  databaseUrl: string | null;
  /** A replica for the API's queries; the main database when null. */
  databaseReadUrl: string | null;
  /** null: the role's own default. */
  databasePoolMax: number | null;
  rabbitmqUrl: string | null;
  redisUrl: string | null;
  host: string | null;
  ingressPort: number;
  apiPort: number;
  /** 0: any free port. */
  adminPort: number;
  /** Path of the module whose exports are the workflows to run; null: the built-in ones. */
  workflows: string | null;
  workerConcurrency: number;
  leaseMs: number;
  shutdownGraceMs: number;
  redispatchAfterMs: number;
  logLevel: LogLevel;
  dataDir: string;
  /** Prefixes of the clone URLs that `code-review` may fetch. */
  cloneAllow: readonly string[] | null;
  /** The hosts that `code-review` reports to. */
  reporting: Reporting;
  apiKeys: readonly Readonly<{ name: string; role: ApiKeyRole; key: string }>[];
  otlpEndpoint: string | null;
  /** Where the log is mirrored to; null: nowhere. */
  eventStoreDbUrl: string | null;
  /** After how many days a finished job is archived; null: never. */
  jobKeepDays: number | null;
  /** Seals what names a person; null: it is stored as it is. */
  privacyKey: string | null;
  /** What becomes of an event that a read model cannot take: it stops, or sets that job aside. */
  projectionsOnPoison: 'pause' | 'quarantine';
  sources: readonly WebhookSource[];
  /** Addresses and networks of the proxies in front of the ingress. */
  trustedProxies: readonly string[];
  /** How much that is not authentic an address may send the ingress a minute; null: as much as it likes. */
  maxFailuresPerMinute: number | null;
  /** What is kept of deliveries where their source says nothing else. */
  deliveries: Readonly<{
    /** null: for ever. */
    keepDays: number | null;
    /** Bodies of one source, as they are stored; null: however much. */
    keepMegabytes: number | null;
    /** For so long a delivery is known to have come, also without its body. */
    rememberDays: number;
  }>;
  /** How often the hosts are asked for what did not arrive; 0: never. */
  reconcileEverySeconds: number;
}>;

/** All mistakes of the environment at once; secrets are never in the message. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(readonly mistakes: readonly string[]) {
    super(
      `The configuration has ${String(mistakes.length)} mistake(s):\n- ${mistakes.join('\n- ')}`,
    );
  }
}

function wholeNumber(min: number, max: number): z.ZodCoercedNumber {
  const mistake = `must be a whole number from ${String(min)} to ${String(max)}`;
  return z.coerce.number(mistake).int(mistake).min(min, mistake).max(max, mistake);
}

const integer = (min: number, max: number, fallback: number): z.ZodDefault<z.ZodCoercedNumber> =>
  wholeNumber(min, max).default(fallback);

const integerOrNull = (min: number, max: number): z.ZodDefault<z.ZodNullable<z.ZodCoercedNumber>> =>
  wholeNumber(min, max).nullable().default(null);

const url = (...protocols: readonly string[]): z.ZodDefault<z.ZodNullable<z.ZodString>> =>
  z
    .string()
    .refine((value) => URL.canParse(value) && protocols.includes(new URL(value).protocol), {
      message: `must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`,
    })
    .nullable()
    .default(null);

const apiKeys = z
  .string()
  .default('')
  .transform((text, context) =>
    text
      .split(/[\s,]+/)
      .filter((entry) => entry !== '')
      .map((entry, index) => {
        const parsed = /^([^:]+):(viewer|operator|admin):(.{16,})$/.exec(entry);
        if (!parsed) {
          context.addIssue({
            code: 'custom',
            message: `entry ${String(index + 1)} is not name:role:key with the role viewer, operator or admin and a key of 16 characters or more`,
          });
          return z.NEVER;
        }
        const [, name = '', role = '', key = ''] = parsed;
        return { name, role: role as ApiKeyRole, key };
      }),
  );

/** Addresses and CIDR ranges, separated by spaces or commas. */
const networks = z
  .string()
  .default('')
  .transform((text) => text.split(/[\s,]+/).filter((entry) => entry !== ''))
  .pipe(
    z.array(
      z.union(
        [z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()],
        'must be IP addresses and CIDR ranges such as 10.0.0.0/8',
      ),
    ),
  );

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

const Environment = z.object({
  DATABASE_URL: url('postgres:', 'postgresql:'),
  DATABASE_READ_URL: url('postgres:', 'postgresql:'),
  DATABASE_POOL_MAX: integerOrNull(2, 1000),
  RABBITMQ_URL: url('amqp:', 'amqps:'),
  REDIS_URL: url('redis:', 'rediss:'),
  HOST: z.string().nullable().default(null),
  INGRESS_PORT: integer(0, 65_535, 3332),
  API_PORT: integer(0, 65_535, 3331),
  ADMIN_PORT: integer(0, 65_535, 0),
  WORKFLOWS: z.string().nullable().default(null),
  WORKER_CONCURRENCY: integer(1, 1000, 10),
  LEASE_MS: integer(1000, 3_600_000, 15_000),
  SHUTDOWN_GRACE_MS: integer(0, 3_600_000, 25_000),
  REDISPATCH_AFTER_MS: integer(100, 3_600_000, 30_000),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
  DATA_DIR: z.string().min(1).default('.jobledger'),
  CLONE_ALLOW: z
    .string()
    .transform((text) => text.split(/[\s,]+/).filter((prefix) => prefix !== ''))
    .nullable()
    .default(null),
  API_KEYS: apiKeys,
  TRUSTED_PROXIES: networks,
  MAX_FAILURES_PER_MINUTE: integer(0, 1_000_000, 600),
  OTEL_EXPORTER_OTLP_ENDPOINT: url('http:', 'https:'),
  // Several hosts, separated by commas, are no URL; the client reads them.
  EVENTSTOREDB_URL: z
    .string()
    .regex(/^esdb(?:\+discover)?:\/\/./, 'must begin with esdb:// or esdb+discover://')
    .nullable()
    .default(null),
  DELIVERY_KEEP_DAYS: integerOrNull(1, 36_500),
  DELIVERY_KEEP_MEGABYTES: integerOrNull(1, 1e9),
  DELIVERY_REMEMBER_DAYS: integer(30, 36_500, 90),
  RECONCILE_EVERY_SECONDS: integer(0, 86_400, 300),
  JOB_KEEP_DAYS: integerOrNull(1, 36_500),
  PROJECTIONS_ON_POISON: z
    .enum(['pause', 'quarantine'], 'must be pause or quarantine')
    .default('pause'),
  PRIVACY_KEY: z.string().min(32, 'must have 32 characters or more').nullable().default(null),
});

/** The names of all variables that are read; whatever else is in the environment is none of ours. */
export const VARIABLES: readonly string[] = [
  ...Object.keys(Environment.shape),
  ...SOURCE_VARIABLES,
  ...REPORTING_VARIABLES,
];

type Env = Readonly<Record<string, string | undefined>>;

/** Reads and checks the whole environment once; throws `ConfigError` with every mistake. */
export function readConfig(env: Env = process.env): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = Environment.safeParse(given);
  const { sources, mistakes } = readSources(env, (path) => readFileSync(path, 'utf8'));
  const { reporting, mistakes: ofReporting } = readReporting(env);
  const all = [
    ...(parsed.error?.issues.map(({ path, message }) => `${String(path[0])}: ${message}`) ?? []),
    ...mistakes,
    ...ofReporting,
  ];
  if (!parsed.success || all.length > 0) throw new ConfigError(all);
  const e = parsed.data;
  return Object.freeze({
    databaseUrl: e.DATABASE_URL,
    databaseReadUrl: e.DATABASE_READ_URL,
    databasePoolMax: e.DATABASE_POOL_MAX,
    rabbitmqUrl: e.RABBITMQ_URL,
    redisUrl: e.REDIS_URL,
    host: e.HOST,
    ingressPort: e.INGRESS_PORT,
    apiPort: e.API_PORT,
    adminPort: e.ADMIN_PORT,
    workflows: e.WORKFLOWS,
    workerConcurrency: e.WORKER_CONCURRENCY,
    leaseMs: e.LEASE_MS,
    shutdownGraceMs: e.SHUTDOWN_GRACE_MS,
    redispatchAfterMs: e.REDISPATCH_AFTER_MS,
    logLevel: e.LOG_LEVEL,
    dataDir: e.DATA_DIR,
    cloneAllow: e.CLONE_ALLOW,
    reporting,
    apiKeys: e.API_KEYS,
    otlpEndpoint: e.OTEL_EXPORTER_OTLP_ENDPOINT,
    eventStoreDbUrl: e.EVENTSTOREDB_URL,
    jobKeepDays: e.JOB_KEEP_DAYS,
    privacyKey: e.PRIVACY_KEY,
    projectionsOnPoison: e.PROJECTIONS_ON_POISON,
    sources,
    trustedProxies: e.TRUSTED_PROXIES,
    maxFailuresPerMinute: e.MAX_FAILURES_PER_MINUTE === 0 ? null : e.MAX_FAILURES_PER_MINUTE,
    deliveries: {
      keepDays: e.DELIVERY_KEEP_DAYS,
      keepMegabytes: e.DELIVERY_KEEP_MEGABYTES,
      rememberDays: e.DELIVERY_REMEMBER_DAYS,
    },
    reconcileEverySeconds: e.RECONCILE_EVERY_SECONDS,
  });
}
