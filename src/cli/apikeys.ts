import { Command } from 'commander';

import { createApiKey, listApiKeys, revokeApiKey } from '../platform/api-keys.ts';
import { CannotRun } from '../processes/run-role.ts';
import { print, printJson, printTable, say } from './output.ts';
import { withSession } from './session.ts';
import { Usage } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

const ROLES = ['viewer', 'operator', 'admin'] as const;
type Role = (typeof ROLES)[number];

export function apiKeysCommand(): Command {
  return new Command('apikeys')
    .description('keys of the API; each is shown once, and only its hash is stored')
    .addCommand(create())
    .addCommand(list())
    .addCommand(revoke());
}

function create(): Command {
  return new Command('create')
    .description('make a key and print it')
    .argument('<name>', 'who or what will use it')
    .option('--role <role>', ROLES.join(', '), 'viewer')
    .option('--json', 'print JSON')
    .action((name: string, { role, json }: JsonOption & Readonly<{ role: string }>) =>
      withSession(async ({ database }) => {
        const key = await createApiKey(database, { name, role: roleOf(role) });
        if (key === null)
          throw new CannotRun(`There is a key "${name}" already: take another name`);
        if (json) printJson({ name, role, key });
        else {
          print(key);
          say('Keep it: it is not shown again.');
        }
      }),
    );
}

function roleOf(text: string): Role {
  const role = ROLES.find((each) => each === text);
  if (role === undefined)
    throw new Usage(`There is no role ${text}: there are ${ROLES.join(', ')}`);
  return role;
}

function list(): Command {
  return new Command('list')
    .description('all keys that were made')
    .option('--json', 'print JSON')
    .action(({ json }: JsonOption) =>
      withSession(async ({ database }) => {
        const keys = await listApiKeys(database);
        if (json) printJson(keys);
        else {
          printTable(
            ['NAME', 'ROLE', 'CREATED', 'REVOKED', 'ID'],
            keys.map(({ name, role, createdAt, revokedAt, id }) => [
              name,
              role,
              createdAt.toISOString(),
              revokedAt?.toISOString(),
              id,
            ]),
            'No keys. API_KEYS may hold some too.',
          );
        }
      }),
    );
}

function revoke(): Command {
  return new Command('revoke')
    .description('let a key go: its sockets are closed within seconds')
    .argument('<name or id>')
    .action((nameOrId: string) =>
      withSession(async ({ database }) => {
        if (!(await revokeApiKey(database, nameOrId))) {
          throw new CannotRun(`There is no key "${nameOrId}"`);
        }
        print(`Revoked ${nameOrId}.`);
      }),
    );
}
