import { userInfo } from 'node:os';

import { Command } from 'commander';

import { toUserError } from '../ingress/graphql/refusals.ts';
import { foldJob } from '../read/job-history.ts';
import { type ApiJob, toApiJobWithSteps } from '../read/job.ts';
import type { JobFilter } from '../read/job-filter.ts';
import { listJobs } from '../read/job-list.ts';
import { LiveLog } from '../read/live/live-log.ts';
import { followJob } from '../read/live/subscriptions.ts';
import { DecideJob } from '../write/door.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { CannotRun } from '../processes/run-role.ts';
import { printJob, stateLine } from './job-lines.ts';
import { print, printJson, printJsonLine, printTable } from './output.ts';
import { type Session, withSession } from './session.ts';
import { json as parseJson, Usage, wholeNumber } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function jobsCommand(): Command {
  return new Command('jobs')
    .description('look at jobs and act on them')
    .addCommand(list())
    .addCommand(show())
    .addCommand(watch())
    .addCommand(cancel())
    .addCommand(retry())
    .addCommand(resume())
    .addCommand(answer('approve', true))
    .addCommand(answer('reject', false));
}

const STATUSES = 'REQUESTED RUNNING PAUSED RETRYING COMPLETED FAILED CANCELLED SUPERSEDED'.split(
  ' ',
);

type ListOptions = JsonOption &
  Readonly<{
    status?: string[];
    workflow?: string[];
    repository?: string[];
    search?: string;
    first: string;
  }>;

function list(): Command {
  return new Command('list')
    .description('the newest jobs first')
    .option('--status <status...>', `one or more of ${STATUSES.join(', ')}`)
    .option('--workflow <name...>', 'only of these workflows')
    .option('--repository <name...>', 'only of these repositories')
    .option(
      '--search <words>',
      'words in repository, title, ref, sender or error; or an id or sha prefix',
    )
    .option('--first <n>', 'how many, up to 100', '20')
    .option('--json', 'print JSON')
    .action((options: ListOptions) =>
      withSession(async ({ named }) => {
        const first = wholeNumber('--first', options.first, { min: 1, max: 100 });
        const { nodes } = await listJobs(named, {
          filter: filterOf(options),
          orderBy: 'REQUESTED_AT_DESC',
          first,
        });
        if (options.json) printJson(nodes);
        else printJobs(nodes);
      }),
    );
}

function filterOf({ status, workflow, repository, search }: ListOptions): JobFilter {
  const statuses = status?.map((each) => each.toUpperCase()) ?? null;
  const unknown = statuses?.find((each) => !STATUSES.includes(each));
  if (unknown !== undefined) {
    throw new Usage(`There is no status ${unknown}: there are ${STATUSES.join(', ')}`);
  }
  return {
    status: statuses,
    workflow: workflow ?? null,
    repository: repository ?? null,
    search: search ?? null,
  };
}

function printJobs(jobs: readonly ApiJob[]): void {
  printTable(
    ['ID', 'WORKFLOW', 'STATUS', 'REPOSITORY', 'PULL REQUEST', 'REQUESTED'],
    jobs.map((job) => [
      job.id,
      job.workflow,
      job.status,
      job.trigger.repository?.fullName,
      job.trigger.pullRequest?.number,
      job.requestedAt,
    ]),
    'No jobs. "jobledger webhooks send --sample" makes one.',
  );
}

function show(): Command {
  return new Command('show')
    .description('one job: its state, steps and result')
    .argument('<id>')
    .option('--json', 'print JSON')
    .action((id: string, { json }: JsonOption) =>
      withSession(async ({ store }) => {
        const view = await foldJob(store, id);
        if (view === null) throw notFound(id);
        if (json) printJson(toApiJobWithSteps(view));
        else printJob(view);
      }),
    );
}

function watch(): Command {
  return new Command('watch')
    .description('follow a job until it ends')
    .argument('<id>')
    .option('--json', 'one JSON document a line')
    .action((id: string, { json }: JsonOption) =>
      withSession(async ({ store, hints, logger }) => {
        const live = new LiveLog({ store, hints, logger });
        const stop = new AbortController();
        const running = live.run(stop.signal, await store.head());
        try {
          if ((await foldJob(store, id)) === null) throw notFound(id);
          const followed = followJob({ live, store }, { id, progress: false }, stop.signal);
          for await (const view of followed) {
            if (json) printJsonLine(toApiJobWithSteps(view));
            else print(`${view.updatedAt}  ${stateLine(view)}`);
          }
        } finally {
          stop.abort();
          await running;
        }
      }),
    );
}

function cancel(): Command {
  return new Command('cancel')
    .description('end a job, whatever it does')
    .argument('<id>')
    .option('--reason <text>', 'why, for whoever reads the job later')
    .option('--json', 'print JSON')
    .action((id: string, { reason, json }: JsonOption & Readonly<{ reason?: string }>) =>
      act(id, { type: 'CancelJob', at: new Date(), data: { reason: reason ?? null } }, json),
    );
}

function retry(): Command {
  return new Command('retry')
    .description('run a job again that has ended, or waits for its next attempt')
    .argument('<id>')
    .option('--from-step <name>', 'forget this step and those after it')
    .option('--json', 'print JSON')
    .action((id: string, { fromStep, json }: JsonOption & Readonly<{ fromStep?: string }>) =>
      act(id, { type: 'RetryJob', at: new Date(), data: { fromStep: fromStep ?? null } }, json),
    );
}

function resume(): Command {
  return new Command('resume')
    .description('end the wait of a paused job by hand')
    .argument('<id>')
    .option('--payload <json>', 'what the workflow gets', 'null')
    .option('--json', 'print JSON')
    .action((id: string, { payload, json }: JsonOption & Readonly<{ payload: string }>) => {
      // What JSON.parse gives is JSON.
      const outcome = { kind: 'manual', payload: parseJson(payload) as null } as const;
      return act(id, { type: 'ResumeJob', at: new Date(), data: { waitId: null, outcome } }, json);
    });
}

type AnswerOptions = JsonOption & Readonly<{ by?: string; comment?: string | null }>;

function answer(name: string, approved: boolean): Command {
  return new Command(name)
    .description(`say ${approved ? 'yes' : 'no'} to the approval that a job waits for`)
    .argument('<id>')
    .option('--comment <text>', 'what the workflow gets to read')
    .option('--by <name>', 'who says so; by default the user of this machine')
    .option('--json', 'print JSON')
    .action((id: string, { comment = null, by, json }: AnswerOptions) => {
      const data = { approved, by: by ?? userInfo().username, comment };
      return act(id, { type: 'AnswerApproval', at: new Date(), data }, json);
    });
}

function act(id: string, command: JobCommand, json: boolean | undefined): Promise<void> {
  return withSession(async (session) => {
    await decide(session, new DecideJob(id, command, { actor: 'cli' }));
    const view = await foldJob(session.store, id);
    if (view === null) throw notFound(id);
    if (json) printJson(toApiJobWithSteps(view));
    else print(`${view.id} is ${view.status}`);
  });
}

async function decide({ door }: Session, command: DecideJob): Promise<void> {
  try {
    await (await door()).execute(command);
  } catch (error) {
    throw new CannotRun(`${command.jobId}: ${toUserError(error).message}`);
  }
}

const notFound = (id: string): CannotRun => new CannotRun(`There is no job ${id}`);
