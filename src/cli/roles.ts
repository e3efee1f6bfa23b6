import { relative } from 'node:path';

import { Command } from 'commander';

import { readConfig } from '../platform/config.ts';
import { Hangups } from '../processes/hangups.ts';
import type { Addresses } from '../processes/start.ts';
import { print } from './output.ts';

const ROLES = {
  ingress: 'take webhooks (port 3332)',
  api: 'serve GraphQL and the dashboard (port 3331)',
  worker: 'run jobs',
  projector: 'keep the read models, dispatch jobs, fire timers',
} as const;

/** `start` and the four roles: each runs until SIGTERM or SIGINT. */
export function roleCommands(): readonly Command[] {
  const start = new Command('start')
    .description('run everything in one process; needs nothing else')
    .action(async () => {
      const hangups = new Hangups();
      const { start: run } = await import('../processes/start.ts');
      await run(readConfig(), onReady, hangups);
    });
  const roles = Object.entries(ROLES).map(([role, description]) =>
    new Command(role).description(description).action(async () => {
      const hangups = role === 'ingress' ? new Hangups() : null;
      const { runRole } = await import('../processes/run-role.ts');
      await runRole(role as keyof typeof ROLES, readConfig(), hangups);
    }),
  );
  return [start, ...roles];
}

function onReady({ dashboard, ingress }: Addresses): void {
  print(`\nJobledger runs.\n`);
  print(`  Dashboard  ${dashboard}`);
  print(`  GraphQL    ${dashboard}graphql`);
  print(`  Webhooks   ${ingress}github`);
  print(`\nTry it with a sample pull request:\n`);
  print(`  ${sampleCommand()}\n`);
}

/** What to type in the folder that this was started in. The command finds the address in `DATA_DIR`. */
function sampleCommand(): string {
  const program = relative(process.cwd(), process.argv[1] ?? '');
  const { dataDir } = readConfig();
  const where = dataDir === '.jobledger' ? '' : `DATA_DIR=${dataDir} `;
  return `${where}node ${program} webhooks send --sample`;
}
