import { Command } from 'commander';

import { readCheckpoint } from '../event-store/checkpoint.ts';
import { MIRROR } from '../mirror/mirror.ts';
import { sql } from '../platform/sql.ts';
import { print, printJson } from './output.ts';
import { withSession } from './session.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function mirrorCommand(): Command {
  return new Command('mirror')
    .description('the copy of the log in EventStoreDB or KurrentDB')
    .addCommand(status())
    .addCommand(restart());
}

function status(): Command {
  return new Command('status')
    .description('how far it is')
    .option('--json', 'print JSON')
    .action(({ json }: JsonOption) =>
      withSession(async ({ config: { eventStoreDbUrl }, database, store }) => {
        const position = await readCheckpoint(database, MIRROR);
        const lag = (await store.head()) - position;
        const on = eventStoreDbUrl !== null;
        if (json) printJson({ on, position, lag });
        else {
          print(`at position ${String(position)}, ${String(lag)} event(s) behind`);
          if (!on) print('EVENTSTOREDB_URL is not set: it does not go on');
        }
      }),
    );
}

function restart(): Command {
  return new Command('restart')
    .description('copy everything again, into a new server for instance; what is there stays once')
    .action(() =>
      withSession(async ({ database }) => {
        await database.query(sql`
          update log.followers set position = 0, epoch = epoch + 1, updated_at = clock_timestamp()
          where name = ${MIRROR}`);
        // Whoever leads it stands where it was, and would notice with the next event: its term ends now.
        await database.query(sql`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = ${`jobledger lead ${MIRROR}`}`);
        print('The mirror begins at position 1 again.');
      }),
    );
}
