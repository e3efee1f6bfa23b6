import { Command } from 'commander';

import {
  NOTHING_YET,
  type RedeliveryCounts,
  redeliverMany,
} from '../ingress/redelivery/redeliver-many.ts';
import type { Config } from '../platform/config.ts';
import { runningStart } from '../platform/running-start.ts';
import { rereader } from '../processes/delivery-desk.ts';
import { CannotRun } from '../processes/run-role.ts';
import { sampleSource } from '../processes/sample-source.ts';
import type { DeliveryFilter } from '../read/deliveries.ts';
import { redeliverablePages } from '../read/redeliverable.ts';
import { type Door, Redeliver } from '../write/door.ts';
import { Rejected } from '../write/rejected.ts';
import { type RangeOptions, filterOf, withRange } from './delivery-range.ts';
import { print, printJson, say } from './output.ts';
import { type Session, withSession } from './session.ts';
import { Usage } from './usage.ts';
import { workflowsOfToday } from './workflows-of-today.ts';

type Options = RangeOptions &
  Readonly<{ failed?: boolean; dryRun?: boolean; yes?: boolean; json?: boolean }>;

/** Deliveries between two lines of progress. */
const PAGE = 200;

export function redeliverCommand(): Command {
  return withRange(
    new Command('redeliver')
      .description(
        'request the jobs of deliveries again, by the sources and workflows of today: what is missing is requested, what failed or was cancelled is retried',
      )
      .argument(
        '[id]',
        "one delivery, by its id or the provider's; without it, all that the options choose",
      ),
  )
    .option('--failed', 'only those with a failed job, and what was not accepted and is wanted now')
    .option('--dry-run', 'say what would be done')
    .option('--yes', 'do it, for all that the options choose')
    .option('--json', 'print JSON')
    .action((id: string | undefined, options: Options) =>
      withSession(async (session) => {
        const redeliver = await redelivering(session, { ...options, isNamed: id !== undefined });
        if (id === undefined) await many(session, options, redeliver);
        else await one(id, options, redeliver);
      }),
    );
}

type Redelivering = Readonly<{ door: Door; options: Redeliver['options'] }>;

async function redelivering(
  { config: given, logger, door }: Session,
  { dryRun = false, failed = false, isNamed }: Options & Readonly<{ isNamed: boolean }>,
): Promise<Redelivering> {
  const config = { ...given, sources: sourcesOf(given) };
  const { plan } = await workflowsOfToday(config, logger);
  const reread = rereader({ config, plan });
  const retry = failed ? { retry: ['failed'] as const } : {};
  return {
    door: await door(),
    options: {
      read: (stored) => reread(stored, isNamed),
      at: new Date(),
      actor: 'cli',
      dryRun,
      ...retry,
    },
  };
}

/** With the one that a running `start` has made. */
const sourcesOf = (config: Config): Config['sources'] =>
  runningStart(config.dataDir) === null
    ? config.sources
    : [...config.sources, ...sampleSource(config)];

async function one(id: string, { json }: Options, { door, options }: Redelivering): Promise<void> {
  try {
    const { jobs, reason } = await door.execute(new Redeliver(id, options));
    if (json) printJson({ jobs });
    else for (const job of jobs) print(`${job.id}  ${job.workflow}  ${job.effect}`);
    if (!json && jobs.length === 0) print(`No workflow wants it: ${reason ?? 'none starts on it'}`);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    throw new CannotRun(
      error.reason === 'delivery-not-found' ? `There is no delivery ${id}` : error.message,
    );
  }
}

async function many(
  { database }: Session,
  { failed = false, dryRun = false, yes = false, json = false, ...range }: Options,
  redeliver: Redelivering,
): Promise<void> {
  const isTrial = dryRun || !yes;
  const pages = redeliverablePages(database, {
    filter: chosenBy(range, failed),
    onlyFailed: failed,
    size: PAGE,
  });
  const { counts, aborted } = await untilInterrupted(pages, {
    ...redeliver,
    options: { ...redeliver.options, dryRun: isTrial },
  });
  if (json) printJson({ ...counts, dryRun: isTrial, aborted });
  else tell(counts, { isTrial, aborted });
  if (aborted) process.exitCode = 130;
  else if (isTrial && !dryRun) {
    say('Nothing was done: add --yes to do it, or --dry-run to only see it.');
    process.exitCode = 2;
  }
}

function chosenBy(range: RangeOptions, failed: boolean): DeliveryFilter {
  const filter = filterOf(range);
  if (!failed && Object.values(filter).every((each) => each === null)) {
    throw new Usage('Give the id of a delivery, or say which: --failed, --from, --source …');
  }
  // What comes meanwhile is none of those that were meant.
  return { ...filter, receivedBefore: filter.receivedBefore ?? new Date() };
}

/** Ctrl-C ends it with the page at hand; what was done is counted. */
async function untilInterrupted(
  pages: AsyncIterable<readonly string[]>,
  redeliver: Redelivering,
): Promise<Readonly<{ counts: RedeliveryCounts; aborted: boolean }>> {
  const interrupted = new AbortController();
  const interrupt = (): void => {
    interrupted.abort();
  };
  process.once('SIGINT', interrupt);
  let counts: RedeliveryCounts = NOTHING_YET;
  for await (const done of redeliverMany(pages, redeliver, interrupted.signal)) {
    counts = done;
    say(`${String(done.matched)} deliveries …`);
  }
  process.off('SIGINT', interrupt);
  return { counts, aborted: interrupted.signal.aborted };
}

function tell(
  { matched, unwanted, refused, requested, retried, unchanged }: RedeliveryCounts,
  { isTrial, aborted }: Readonly<{ isTrial: boolean; aborted: boolean }>,
): void {
  print(`${String(matched)} deliveries${aborted ? ', then it was interrupted' : ''}`);
  print(`  ${String(unwanted)} that nothing starts on today`);
  if (refused > 0) print(`  ${String(refused)} of sources that are not configured here`);
  print(`  ${isTrial ? 'would request' : 'requested'} ${String(requested)} job(s)`);
  print(`  ${isTrial ? 'would retry' : 'retried'} ${String(retried)} job(s)`);
  print(`  ${String(unchanged)} job(s) stay as they are`);
}
