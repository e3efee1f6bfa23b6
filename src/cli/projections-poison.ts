import { Command } from 'commander';

import { type Drained, retryPoison, skipPoison } from '../projections/drain-poison.ts';
import { type PoisonedEvent, listPoison } from '../projections/poison.ts';
import { CannotRun } from '../processes/run-role.ts';
import { print, printJson, printTable } from './output.ts';
import { type Session, withSession } from './session.ts';
import { Usage } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function poisonCommand(): Command {
  return new Command('poison')
    .description('events that a read model cannot take: look, try again, pass over')
    .addCommand(list())
    .addCommand(
      onEvents(
        'retry',
        'try an event again, and all that waits behind it',
        '[position]',
        retryPoison,
      ),
    )
    .addCommand(
      onEvents('skip', 'pass an event over until the next rebuild', '<position>', skipPoison),
    );
}

function list(): Command {
  return new Command('list')
    .description('every such event, and what stands still because of it')
    .option('--json', 'print JSON')
    .action(({ json }: JsonOption) =>
      withSession(async ({ database }) => {
        const poison = await listPoison(database);
        if (json) printJson(poison);
        else {
          printTable(
            ['PROJECTION', 'POSITION', 'JOB', 'EVENT', 'STATE', 'TRIES', 'ERROR'],
            poison.map(({ name, position, streamId, type, state, tries, error }) => [
              name,
              position,
              streamId,
              type,
              state,
              tries,
              error,
            ]),
            'No poison: the read models have taken every event.',
          );
        }
      }),
    );
}

type Act = (poison: PoisonedEvent, session: Session) => Promise<Drained>;

function onEvents(verb: string, description: string, position: string, act: Act): Command {
  return new Command(verb)
    .description(description)
    .argument('<projection>')
    .argument(position, 'as the list shows it; without it, every one of the projection')
    .action((name: string, at: string | undefined) =>
      withSession(async (session) => {
        for (const poison of await chosen(session, name, at)) {
          report(poison, await act(poison, session));
        }
      }),
    );
}

async function chosen(
  { database }: Session,
  name: string,
  at: string | undefined,
): Promise<readonly PoisonedEvent[]> {
  if (at !== undefined && !/^\d+$/.test(at)) throw new Usage(`${at} is no position: see the list`);
  const poison = (await listPoison(database)).filter(
    (each) =>
      each.name === name &&
      (at === undefined ? each.state !== 'SKIPPED' : each.position === BigInt(at)),
  );
  if (poison.length > 0) return poison;
  const where = at === undefined ? '' : ` at ${at}`;
  throw new CannotRun(`${name} has no poison${where}: see "projections poison list"`);
}

function report({ name, position, state }: PoisonedEvent, { events, left }: Drained): void {
  if (state === 'STOPPED') {
    print(`${name} goes on from ${String(position)}; the projector sees it within a second or so`);
  } else if (left === null) {
    print(`${name} has taken ${String(events)} events from ${String(position)} on`);
  } else {
    print(
      `${name} waits at ${String(left.position)} after ${String(events)} events: ${left.error}`,
    );
    process.exitCode = 1;
  }
}
