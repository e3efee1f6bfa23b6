import { Command } from 'commander';

import { Archiver } from '../archive/archiver.ts';
import { exportArchive } from '../archive/export.ts';
import { archiveStatus } from '../archive/status.ts';
import { print, printJson } from './output.ts';
import { withSession } from './session.ts';
import { Usage, wholeNumber } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function archiveCommand(): Command {
  return new Command('archive')
    .description('finished jobs that are kept apart from the others, and are still part of the log')
    .addCommand(run())
    .addCommand(status())
    .addCommand(exportCommand());
}

function run(): Command {
  return new Command('run')
    .description('archive what is due now, instead of waiting for a projector to do it')
    .option('--older-than <days>', 'jobs that ended so many days ago; without it, JOB_KEEP_DAYS')
    .option('--json', 'print JSON')
    .action(({ olderThan, json }: JsonOption & Readonly<{ olderThan?: string }>) =>
      withSession(async ({ config, ...session }) => {
        const keepDays =
          olderThan === undefined
            ? config.jobKeepDays
            : wholeNumber('--older-than', olderThan, { min: 0, max: 36_500 });
        if (keepDays === null) throw new Usage('Set JOB_KEEP_DAYS, or give --older-than <days>');
        const stop = new AbortController();
        const end = (): void => {
          stop.abort();
        };
        process.once('SIGINT', end).once('SIGTERM', end);
        const archived = await new Archiver({ ...session, keepDays }).runOnce(stop.signal);
        if (json) printJson(archived);
        else
          print(`Archived ${String(archived.jobs)} job(s), ${String(archived.events)} event(s).`);
      }),
    );
}

function status(): Command {
  return new Command('status')
    .description('how much is archived')
    .option('--json', 'print JSON')
    .action(({ json }: JsonOption) =>
      withSession(async ({ config: { jobKeepDays }, database }) => {
        const found = await archiveStatus(database);
        if (json) printJson({ ...found, keepDays: jobKeepDays });
        else {
          const { jobs, events, bytes, presentBytes, lastArchivedAt, position } = found;
          print(`${String(jobs)} job(s), ${String(events)} event(s), ${megabytes(bytes)}`);
          print(`not archived: ${megabytes(presentBytes)}`);
          print(`looked through up to position ${String(position)}`);
          print(`last archived: ${lastArchivedAt?.toISOString() ?? 'never'}`);
          print(
            jobKeepDays === null
              ? 'JOB_KEEP_DAYS is not set: nothing is archived by itself'
              : `jobs are archived ${String(jobKeepDays)} day(s) after their end`,
          );
        }
      }),
    );
}

const megabytes = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

function exportCommand(): Command {
  return new Command('export')
    .description('write all events of the archived jobs to a file, gzipped NDJSON, and check it')
    .argument('<file>', 'such as archive.ndjson.gz')
    .option('--json', 'print JSON')
    .action((file: string, { json }: JsonOption) =>
      withSession(async ({ database }) => {
        const exported = await exportArchive(database, file);
        if (json) printJson(exported);
        else {
          print(`${String(exported.jobs)} job(s), ${String(exported.events)} event(s) in ${file}`);
          print(`sha256 of what is in it: ${exported.sha256}`);
        }
      }),
    );
}
