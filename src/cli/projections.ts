import { Command } from 'commander';

import {
  cancelRebuild,
  listProjections,
  pauseProjection,
  type ProjectionInfo,
  resumeProjection,
} from '../projections/control.ts';
import { rebuild, type RebuildResult, rollback } from '../projections/rebuild.ts';
import { CannotRun } from '../processes/run-role.ts';
import { print, printJson, printTable, say } from './output.ts';
import { poisonCommand } from './projections-poison.ts';
import { progressBar } from './progress-bar.ts';
import { type Session, withSession } from './session.ts';
import { Usage, wholeNumber } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function projectionsCommand(): Command {
  return new Command('projections')
    .description('the read models: look, replay, go back')
    .addCommand(list())
    .addCommand(rebuildCommand())
    .addCommand(cancelCommand())
    .addCommand(rollbackCommand())
    .addCommand(onOne('pause', 'stop one where it is', pauseProjection))
    .addCommand(onOne('resume', 'let a paused or failed one go on', resumeProjection))
    .addCommand(poisonCommand());
}

function list(): Command {
  return new Command('list')
    .description('every projection, and how far it is behind the log')
    .option('--json', 'print JSON')
    .action(({ json }: JsonOption) =>
      withSession(async ({ database }) => {
        const projections = await listProjections(database);
        if (json) printJson(projections);
        else printProjections(projections);
      }),
    );
}

function printProjections(projections: readonly ProjectionInfo[]): void {
  printTable(
    ['NAME', 'VERSION', 'STATUS', 'POSITION', 'LAG', 'EVENTS/S', 'ERROR'],
    projections.map((each) => [
      each.name,
      each.version,
      each.status,
      each.position,
      each.lag,
      each.eventsPerSecond === null ? '' : Math.round(each.eventsPerSecond),
      each.error,
    ]),
    'No projections: run "jobledger migrate" first.',
  );
}

type RebuildOptions = JsonOption &
  Readonly<{
    all?: boolean;
    shadow?: boolean;
    verify?: boolean;
    fresh?: boolean;
    yes?: boolean;
    slots?: number;
  }>;

function rebuildCommand(): Command {
  return new Command('rebuild')
    .description('replay the log into new tables beside the live ones, and swap them in')
    .argument('[names...]')
    .option('--all', 'all of them')
    .option('--shadow', 'build and compare, but leave what is live')
    .option('--verify', 'swap only if the new rows equal the live ones at the same position')
    .option('--fresh', 'begin anew instead of where a stopped rebuild left off')
    .option('--slots <n>', 'fill by so many connections at once (default 2)', slotCount)
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action((names: readonly string[], options: RebuildOptions) => {
      if (options.all !== true && names.length === 0) {
        throw new Usage('Give the names of the projections, or --all');
      }
      if (options.all === true && names.length > 0) throw new Usage('Give either names or --all');
      return withSession((session) => replay(session, names, options));
    });
}

const slotCount = (text: string): number => wholeNumber('--slots', text, { min: 1, max: 64 });

async function replay(
  session: Session,
  names: readonly string[],
  options: RebuildOptions,
): Promise<void> {
  const { shadow = false, verify = false, fresh = false, yes = false, json = false } = options;
  await assertKnown(session, names);
  if (!yes && !shadow && !(await confirmed())) return;
  const stop = new AbortController();
  process.once('SIGINT', () => {
    say('\nStopping; the same command goes on from here.');
    stop.abort();
  });
  const bar = progressBar();
  const { database, store, logger } = session;
  const results = await rebuild({
    names,
    database,
    store,
    logger,
    shadow,
    verify,
    fresh,
    ...(options.slots === undefined ? {} : { slots: options.slots }),
    onProgress: bar.show,
    signal: stop.signal,
  });
  bar.end();
  report(results, json);
}

async function assertKnown({ database }: Session, names: readonly string[]): Promise<void> {
  const known = new Set((await listProjections(database)).map(({ name }) => name));
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new Usage(
    `There is no projection ${unknown.join(', ')}: there are ${[...known].join(', ')}`,
  );
}

/** Only a person at a terminal is asked; a program has to say --yes. */
async function confirmed(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new Usage('A rebuild replaces what is live: say --yes (or --shadow, which does not)');
  }
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('Replace the live tables by rebuilt ones? [y/N] ');
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function report(results: readonly RebuildResult[], json: boolean): void {
  if (json) printJson(results);
  for (const result of results) {
    if (!json) {
      const verified =
        result.verified === null ? '' : result.verified ? ', rows equal' : ', rows differ';
      const rate = `${String(result.events)} events at ${String(result.eventsPerSecond)}/s`;
      print(`${result.name}: ${result.outcome} (${rate}${verified})`);
    }
    if (result.outcome === 'stopped' || result.outcome === 'different') process.exitCode = 1;
  }
}

function cancelCommand(): Command {
  return new Command('cancel')
    .description('end a rebuild that is under way or was left, and take away what it has made')
    .argument('<name>')
    .action((name: string) =>
      withSession(async (session) => {
        await assertKnown(session, [name]);
        const cancelled = await cancelRebuild(session.database, name);
        print(cancelled ? `The rebuild of ${name} is cancelled` : `Nothing rebuilds ${name}`);
      }),
    );
}

function rollbackCommand(): Command {
  return new Command('rollback')
    .description('make the tables that were live before the last rebuild live again')
    .argument('<name>')
    .option('--json', 'print JSON')
    .action((name: string, { json = false }: JsonOption) =>
      withSession(async (session) => {
        await assertKnown(session, [name]);
        const { database, store, logger } = session;
        report([await rollback(name, { database, store, logger })], json);
      }),
    );
}

function onOne(
  verb: string,
  description: string,
  act: (database: Session['database'], name: string) => Promise<void>,
): Command {
  return new Command(verb)
    .description(description)
    .argument('<name>')
    .action((name: string) =>
      withSession(async (session) => {
        await assertKnown(session, [name]);
        await act(session.database, name);
        const now = (await listProjections(session.database)).find(
          (each) => each.name === name && each.live,
        );
        if (now === undefined) throw new CannotRun(`${name} has no live tables`);
        print(`${name} is ${now.status} at ${String(now.position)}`);
      }),
    );
}
