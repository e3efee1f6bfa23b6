#!/usr/bin/env node
import '../platform/production.ts';
import { Command, CommanderError } from 'commander';

import { ConfigError } from '../platform/config.ts';
import { CannotRun } from '../processes/run-role.ts';
import { VERSION } from '../processes/version.ts';
import { say } from './output.ts';
import { roleCommands } from './roles.ts';
import { Usage } from './usage.ts';

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

const program = new Command('jobledger')
  .description('Webhooks of Git hosts become durable jobs.')
  .version(VERSION)
  .exitOverride();
for (const command of await commandsFor(process.argv[2])) {
  program.addCommand(command);
}
for (const command of all(program)) {
  command.exitOverride().showHelpAfterError('Run it with --help to see what it takes.');
}

process.exitCode = await run(process.argv);

/** A role is no place for all that the commands of operators load. */
async function commandsFor(name: string | undefined): Promise<readonly Command[]> {
  const roles = roleCommands();
  if (roles.some((role) => role.name() === name)) return roles;
  const { operatorCommands } = await import('./operator-commands.ts');
  return [...roles, ...operatorCommands()];
}

async function run(argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync(argv);
    return typeof process.exitCode === 'number' ? process.exitCode : DONE;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG_USAGE;
    say(error instanceof Error ? explain(error) : String(error));
    return error instanceof Usage || error instanceof ConfigError ? WRONG_USAGE : FAILED;
  }
}

/** What an operator can act on is a sentence; the stack is for what nobody expected. */
function explain(error: Error): string {
  const expected = [CannotRun, ConfigError, Usage].some((kind) => error instanceof kind);
  if (expected) return `jobledger: ${error.message}`;
  if ('code' in error && error.code === 'EADDRINUSE') {
    return `jobledger: ${error.message}: stop what listens there, or set INGRESS_PORT, API_PORT or ADMIN_PORT`;
  }
  const known = 'code' in error && !error.message.includes(String(error.code));
  const code = known ? ` (${String(error.code)})` : '';
  return `jobledger: ${error.message === '' ? error.name : error.message}${code}`;
}

function all(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap((each) => all(each))];
}
