import { Command } from 'commander';

import { newId } from '../platform/ids.ts';
import { SendSignal } from '../write/door.ts';
import { print, printJson } from './output.ts';
import { withSession } from './session.ts';
import { Usage, json as parseJson } from './usage.ts';

type Options = Readonly<{ key?: string; payload: string; id?: string; json?: boolean }>;

export function signalCommand(): Command {
  return new Command('signal')
    .description('send a signal to the jobs that wait for it, now or later')
    .argument('<event>')
    .option('--key <key>', 'only jobs that wait with this key, or with none')
    .option('--payload <json>', 'what the workflows get', 'null')
    .option('--id <id>', 'the same id is the same signal')
    .option('--json', 'print JSON')
    .action((event: string, { key, payload, id, json }: Options) => {
      if (event.trim() === '') throw new Usage('Give the name of the event, as "signal approved"');
      // What JSON.parse gives is JSON.
      const value = parseJson(payload) as null;
      return withSession(async ({ door }) => {
        const receipt = await (
          await door()
        ).execute(
          new SendSignal({
            id: id ?? newId(),
            event,
            key: key ?? null,
            payload: value,
            at: new Date(),
            actor: 'cli',
          }),
        );
        if (json) printJson(receipt);
        else
          print(`Stored ${receipt.signalId}; it resumed ${String(receipt.resumed.length)} job(s).`);
      });
    });
}
