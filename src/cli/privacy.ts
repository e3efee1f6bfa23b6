import { Command } from 'commander';

import { type Held, forget, held } from '../privacy/forget.ts';
import { CannotRun } from '../processes/run-role.ts';
import { print, printJson, say } from './output.ts';
import { type Session, withSession } from './session.ts';

type JsonOption = Readonly<{ json?: boolean }>;

const NAMES = 'the login, and any mail address and name that stand for the same person';

export function privacyCommand(): Command {
  return new Command('privacy')
    .description('what is held of a person, and its erasure')
    .addCommand(show())
    .addCommand(forgetCommand());
}

function show(): Command {
  return new Command('show')
    .description('what is held of a person; reads the whole log and all deliveries')
    .argument('<names...>', NAMES)
    .option('--json', 'print JSON')
    .action((names: string[], { json }: JsonOption) =>
      withSession(async (session) => {
        const found = await held(partsOf(session), names);
        if (json) printJson(found);
        else printHeld(found);
      }),
    );
}

function forgetCommand(): Command {
  return new Command('forget')
    .description('erase a person; it cannot be undone')
    .argument('<names...>', NAMES)
    .option('--yes', 'do it, instead of saying what would be erased')
    .option('--json', 'print JSON')
    .action((names: string[], { yes, json }: JsonOption & Readonly<{ yes?: boolean }>) =>
      withSession(async (session) => {
        const parts = partsOf(session);
        if (yes !== true) {
          printHeld(await held(parts, names));
          throw new CannotRun('Nothing was erased: give --yes to do it');
        }
        const erased = await forget({ ...parts, store: session.store }, asked(names));
        if (json) printJson(erased);
        else {
          printHeld(erased);
          print('Erased. A process that had a key in use forgets it within five seconds.');
        }
        if (erased.plainEvents > 0) process.exitCode = 1;
      }),
    );
}

const partsOf = ({ database, privacy: { vault } }: Session): Parameters<typeof held>[0] => ({
  database,
  vault,
});

const asked = (names: readonly string[]): Parameters<typeof forget>[1] => ({
  names,
  actor: 'cli',
  at: new Date(),
});

function printHeld({ subjects, sealedEvents, deliveries, plainEvents, plainJobs }: Held): void {
  print(`${String(sealedEvents)} event(s) with a sealed name, ${String(subjects)} key(s)`);
  print(`${String(deliveries)} delivery(s) with the name in body, headers or triggers`);
  if (plainEvents === 0) return;
  say(
    `${String(plainEvents)} event(s) have the name unsealed, and no event can be changed: they are older than PRIVACY_KEY, or have it in a place that is not sealed, as in ${plainJobs.join(', ')}`,
  );
}
