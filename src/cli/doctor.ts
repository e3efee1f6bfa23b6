import { Command } from 'commander';

import { readConfig } from '../platform/config.ts';
import type { Check } from './check.ts';
import { examine } from './examine.ts';
import { print, printJson } from './output.ts';

const MARKS = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' } as const;

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'check config, database, broker, migrations, lag, clock and leases; say what to do',
    )
    .option('--json', 'print JSON')
    .action(async ({ json }: Readonly<{ json?: boolean }>) => {
      const checks = await examine(readConfig());
      if (json) printJson(checks);
      else for (const check of checks) print(lineOf(check));
      if (checks.some(({ result }) => result === 'fail')) process.exitCode = 1;
    });
}

const lineOf = ({ name, result, message, fix }: Check): string =>
  `${MARKS[result]}  ${name.padEnd(12)} ${message}${fix === null ? '' : `\n      → ${fix}`}`;
