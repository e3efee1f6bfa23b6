import { Command } from 'commander';

import { readConfig } from '../platform/config.ts';
import { migrate } from '../platform/migrate.ts';
import { print, printJson, say } from './output.ts';
import { databaseUrlOf } from './session.ts';

export function migrateCommand(): Command {
  return new Command('migrate')
    .description('bring the database up to date, once, under a lock')
    .option('--dry-run', 'only say what would run')
    .option('--json', 'print JSON')
    .action(async ({ dryRun = false, json = false }: { dryRun?: boolean; json?: boolean }) => {
      const done = await migrate(databaseUrlOf(readConfig()), {
        dryRun,
        onApplied: ({ name }) => {
          say(`ran ${name}`);
        },
      });
      if (json) printJson({ dryRun, migrations: done.map(({ name }) => name) });
      else if (done.length === 0) print('The database is up to date.');
      else if (dryRun) for (const { name } of done) print(`would run ${name}`);
      else print(`Ran ${String(done.length)} migration(s).`);
    });
}
