import { Command } from 'commander';

import type { Config } from '../platform/config.ts';
import type { ReconcileReport } from '../ingress/reconcile/report.ts';
import { Reconciler } from '../ingress/reconcile/reconciler.ts';
import { print, printJson, visible } from './output.ts';
import { type Session, withSession } from './session.ts';
import { noSource } from './webhooks-test.ts';
import { workflowsOfToday } from './workflows-of-today.ts';

type Options = Readonly<{ source?: string; dryRun?: boolean; json?: boolean }>;

export function reconcileCommand(): Command {
  return new Command('reconcile')
    .description(
      'ask the hosts with a token for webhooks that did not arrive, once; the projector does it by itself',
    )
    .option('--source <name>', 'only this one')
    .option('--dry-run', 'say what is missing, and do nothing about it')
    .option('--json', 'print JSON')
    .action((options: Options) => withSession((session) => reconcile(session, options)));
}

async function reconcile(
  { config, logger, database, door }: Session,
  { source, dryRun = false, json }: Options,
): Promise<void> {
  const sources = chosen(config, source);
  const { plan } = await workflowsOfToday(config, logger);
  const reconciler = new Reconciler({
    database,
    door: await door(),
    plan,
    access: config.reporting,
    clock: () => new Date(),
    graceMs: 0,
  });
  const reports: ReconcileReport[] = [];
  const { signal } = new AbortController();
  for (const each of sources) {
    const report = await reconciler.reconcile(each, { dryRun, signal });
    if (report !== null) reports.push(report);
  }
  if (json) printJson(reports);
  else print(summary(sources, reports, dryRun).join('\n'));
  if (reports.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
}

function summary(
  sources: Config['sources'],
  reports: readonly ReconcileReport[],
  dryRun: boolean,
): readonly string[] {
  if (sources.length === 0) {
    return ['There is no source to ask about: set a secret, as GITHUB_WEBHOOK_SECRET'];
  }
  const asked = new Set(reports.map(({ source }) => source));
  return [
    ...sources
      .filter(({ name }) => !asked.has(name))
      .map(({ name, provider }) => `${name}: there is no token for ${provider}`),
    ...reports.flatMap((report) => linesOf(report, dryRun)),
  ];
}

function chosen(config: Config, source: string | undefined): Config['sources'] {
  const sources = config.sources.filter(({ name }) => source === undefined || name === source);
  if (source !== undefined && sources.length === 0) throw noSource(config, source);
  return sources;
}

function linesOf(report: ReconcileReport, dryRun: boolean): readonly string[] {
  const { source, repositories, deliveries, heads, problems } = report;
  return [
    `${source}: asked about ${String(repositories)} repositories, ${String(deliveries.length)} lost deliveries, ${String(heads.length)} jobs for heads that nobody told of`,
    ...deliveries.map(
      ({ repository, deliveryId, event, at, statusCode }) =>
        `  ${dryRun ? 'lost' : 'asked for again'}: ${deliveryId} ${event} ${repository} of ${at.toISOString()}, answered ${String(statusCode)}`,
    ),
    ...heads.map(
      ({ repository, pullRequest, headSha, workflow, jobId }) =>
        `  ${dryRun ? 'unseen' : 'requested'}: ${workflow} for ${repository} #${String(pullRequest)} at ${headSha}, job ${jobId}`,
    ),
    ...problems.map((problem) => `  problem: ${visible(problem)}`),
  ];
}
