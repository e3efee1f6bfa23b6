import { Command } from 'commander';

import { CannotRun } from '../processes/run-role.ts';
import { deliveryBody, findDelivery, listDeliveries } from '../read/deliveries.ts';
import { type RangeOptions, filterOf, withRange } from './delivery-range.ts';
import { print, printJson, printTable } from './output.ts';
import { redeliverCommand } from './redeliver.ts';
import { withSession } from './session.ts';
import { wholeNumber } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function deliveriesCommand(): Command {
  return new Command('deliveries')
    .description('look at the webhooks that came, and take them again')
    .addCommand(list())
    .addCommand(show())
    .addCommand(redeliverCommand());
}

type ListOptions = JsonOption & RangeOptions & Readonly<{ first: string }>;

function list(): Command {
  return withRange(new Command('list').description('the newest first'))
    .option('--first <n>', 'how many, up to 100', '20')
    .option('--json', 'print JSON')
    .action(({ first, json, ...range }: ListOptions) =>
      withSession(async ({ named }) => {
        const { nodes } = await listDeliveries(named, {
          filter: filterOf(range),
          first: wholeNumber('--first', first, { min: 1, max: 100 }),
        });
        if (json) printJson(nodes);
        else {
          printTable(
            ['ID', 'SOURCE', 'EVENT', 'ACTION', 'OUTCOME', 'JOBS', 'RECEIVED', 'REASON'],
            nodes.map((node) => [
              node.id,
              node.source,
              node.event,
              node.action,
              node.outcome,
              node.jobIds.length,
              node.receivedAt.toISOString(),
              node.reason,
            ]),
            'No deliveries.',
          );
        }
      }),
    );
}

function show(): Command {
  return new Command('show')
    .description("one delivery as it came: by its id, or by the provider's")
    .argument('<id>')
    .option('--json', 'print JSON')
    .action((id: string, { json }: JsonOption) =>
      withSession(async ({ named }) => {
        const delivery = await findDelivery(named, id);
        if (delivery === null) throw new CannotRun(`There is no delivery ${id}`);
        const isGone = delivery.bodyRemovedAt !== null;
        const body = isGone ? null : await deliveryBody(named, delivery);
        if (json) printJson({ ...delivery, body });
        else {
          const { headers, triggers, ...facts } = delivery;
          for (const [name, value] of Object.entries(facts)) print(`${name}: ${text(value)}`);
          for (const [name, value] of Object.entries(headers)) print(`> ${name}: ${value}`);
          print(`triggers: ${JSON.stringify(triggers, null, 2)}`);
          print(`\n${body ?? 'The body was removed: retention keeps the rest.'}`);
        }
      }),
    );
}

const text = (value: unknown): string =>
  typeof value === 'string'
    ? value
    : value instanceof Date
      ? value.toISOString()
      : JSON.stringify(value);
