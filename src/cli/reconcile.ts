import { Command } from 'commander';

import type { ReconcileReport } from '../ingress/reconcile/report.ts';
import { Reconciler } from '../ingress/reconcile/reconciler.ts';
import { catalogOf } from '../processes/run-role.ts';
import { print, printJson, visible } from './output.ts';
import { withSession } from './session.ts';
import { Usage } from './usage.ts';

type Options = Readonly<{ source?: string; dryRun?: boolean; json?: boolean }>;

export function reconcileCommand(): Command {
  return new Command('reconcile')
    .description(
      'ask the hosts with a token for webhooks that did not arrive, once; the projector does it by itself',
    )
    .option('--source <name>', 'only this one')
    .option('--dry-run', 'say what is missing, and do nothing about it')
    .option('--json', 'print JSON')
    .action(({ source, dryRun = false, json }: Options) =>
      withSession(async ({ config, logger, database, door }) => {
        const sources = config.sources.filter(
          ({ name }) => source === undefined || name === source,
        );
        if (source !== undefined && sources.length === 0) {
          throw new Usage(`There is no source "${source}"`);
        }
        const { plan } = await catalogOf({ config, logger });
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
          else if (!json) print(`${each.name}: there is no token for ${each.provider}`);
        }
        if (json) printJson(reports);
        else for (const report of reports) print(linesOf(report, dryRun).join('\n'));
        if (reports.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
      }),
    );
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
