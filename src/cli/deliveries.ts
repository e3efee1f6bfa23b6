import { Command } from 'commander';

import { CannotRun, catalogOf } from '../processes/run-role.ts';
import { deliveryBody, findDelivery, listDeliveries } from '../read/deliveries.ts';
import { Redeliver } from '../write/door.ts';
import { Rejected } from '../write/rejected.ts';
import { print, printJson, printTable } from './output.ts';
import { withSession } from './session.ts';
import { wholeNumber } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function deliveriesCommand(): Command {
  return new Command('deliveries')
    .description('look at the webhooks that came, and take them again')
    .addCommand(list())
    .addCommand(show())
    .addCommand(redeliver());
}

type ListOptions = JsonOption &
  Readonly<{ source?: string[]; outcome?: string[]; search?: string; first: string }>;

function list(): Command {
  return new Command('list')
    .description('the newest first')
    .option('--source <name...>')
    .option('--outcome <outcome...>', 'accepted, ignored or unmappable')
    .option('--search <text>')
    .option('--first <n>', 'how many, up to 100', '20')
    .option('--json', 'print JSON')
    .action(({ source, outcome, search, first, json }: ListOptions) =>
      withSession(async ({ database }) => {
        const { nodes } = await listDeliveries(database, {
          filter: { source: source ?? null, outcome: outcome ?? null, search: search ?? null },
          first: wholeNumber(first, { min: 1, max: 100 }),
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
      withSession(async ({ database }) => {
        const delivery = await findDelivery(database, id);
        if (delivery === null) throw notFound(id);
        const body = await deliveryBody(database, delivery.id);
        if (json) printJson({ ...delivery, body });
        else {
          const { headers, triggers, ...facts } = delivery;
          for (const [name, value] of Object.entries(facts)) print(`${name}: ${text(value)}`);
          for (const [name, value] of Object.entries(headers)) print(`> ${name}: ${value}`);
          print(`triggers: ${JSON.stringify(triggers, null, 2)}`);
          print(`\n${body}`);
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

function redeliver(): Command {
  return new Command('redeliver')
    .description('request its jobs again: what is missing is requested, what failed is retried')
    .argument('<id>')
    .option('--json', 'print JSON')
    .action((id: string, { json }: JsonOption) =>
      withSession(async ({ door, config, logger }) => {
        const { plan } = await catalogOf({ config, logger });
        const command = new Redeliver(id, { plan, at: new Date(), actor: 'cli' });
        try {
          const { jobs } = await (await door()).execute(command);
          if (json) printJson({ jobs });
          else for (const job of jobs) print(`${job.id}  ${job.workflow}`);
          if (!json && jobs.length === 0) print('No workflow wants it.');
        } catch (error) {
          if (error instanceof Rejected) throw notFound(id);
          throw error;
        }
      }),
    );
}

const notFound = (id: string): CannotRun => new CannotRun(`There is no delivery ${id}`);
