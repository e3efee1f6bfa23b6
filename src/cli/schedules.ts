import { Command } from 'commander';

import { pauseSchedule, resumeSchedule } from '../dispatch/schedule-control.ts';
import { CannotRun } from '../processes/run-role.ts';
import { listSchedules } from '../read/schedules.ts';
import { print, printJson, printTable } from './output.ts';
import { withSession } from './session.ts';

export function schedulesCommand(): Command {
  return new Command('schedules')
    .description('what starts jobs by the clock')
    .addCommand(list())
    .addCommand(change('pause', 'start nothing until it is resumed; nothing of it is made up for'))
    .addCommand(change('resume', 'go on with the next time'));
}

function list(): Command {
  return new Command('list')
    .description('every schedule of the workflows, and when it is due')
    .option('--json', 'print JSON')
    .action(({ json }: Readonly<{ json?: boolean }>) =>
      withSession(async ({ database }) => {
        const schedules = await listSchedules(database);
        if (json) printJson(schedules);
        else {
          printTable(
            ['WORKFLOW', 'NAME', 'CRON', 'TIME ZONE', 'NEXT', 'LAST'],
            schedules.map(({ workflow, name, cron, timeZone, nextAt, lastAt, pausedBy }) => [
              workflow,
              name,
              cron,
              timeZone,
              pausedBy === null ? nextAt?.toISOString() : `paused by ${pausedBy}`,
              lastAt?.toISOString(),
            ]),
            'No schedules: a workflow has them in its definition, and a worker that runs makes them known.',
          );
        }
      }),
    );
}

const DONE = { pause: 'Paused', resume: 'Resumed' } as const;

function change(verb: keyof typeof DONE, description: string): Command {
  return new Command(verb)
    .description(description)
    .argument('<workflow>')
    .argument('<name>', 'of the schedule; its cron expression, if it has no other')
    .action((workflow: string, name: string) =>
      withSession(async ({ database }) => {
        const schedule = { workflow, name };
        const found =
          verb === 'pause'
            ? await pauseSchedule(database, schedule, 'cli')
            : await resumeSchedule(database, schedule);
        if (!found) {
          throw new CannotRun(
            `There is no schedule "${name}" of the workflow "${workflow}": see "jobledger schedules list"`,
          );
        }
        print(`${DONE[verb]} ${workflow} ${name}.`);
      }),
    );
}
