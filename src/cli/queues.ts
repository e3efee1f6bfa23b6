import { Command } from 'commander';

import { readConfig } from '../platform/config.ts';
import { createLogger } from '../platform/logger.ts';
import { CannotRun, openRabbitmq } from '../processes/run-role.ts';
import type { Transport } from '../messaging/transport.ts';
import { print, printJson, printTable } from './output.ts';
import { wholeNumber } from './usage.ts';

type JsonOption = Readonly<{ json?: boolean }>;

export function queuesCommand(): Command {
  return new Command('queues')
    .description('look at RabbitMQ, and at what could not be handled')
    .addCommand(list())
    .addCommand(dead())
    .addCommand(redrive());
}

function list(): Command {
  return new Command('list')
    .description('how full each queue is')
    .option('--json', 'print JSON')
    .action(({ json }: JsonOption) =>
      withTransport(async (transport) => {
        const queues = await transport.queues();
        if (json) printJson(queues);
        else {
          printTable(
            ['QUEUE', 'READY', 'CONSUMERS'],
            queues.map(({ name, ready, consumers }) => [name, ready, consumers]),
            'No queues.',
          );
        }
      }),
    );
}

function dead(): Command {
  return new Command('dead')
    .description('show what could not be handled, and why; it stays where it is')
    .option('--limit <n>', 'how many of the oldest', '20')
    .option('--json', 'print JSON, with what each message said')
    .action(({ limit, json }: JsonOption & Readonly<{ limit: string }>) => {
      const first = wholeNumber('--limit', limit, { min: 1, max: 10_000 });
      return withTransport(async (transport) => {
        const letters = await transport.deadLetters(first);
        if (json) printJson(letters);
        else {
          printTable(
            ['DIED', 'QUEUE', 'MESSAGE', 'REASON', 'BODY'],
            letters.map(({ diedAt, queue, messageId, reason, body }) => [
              diedAt?.toISOString(),
              queue,
              messageId,
              shortened(reason),
              shortened(body),
            ]),
            'No dead letters.',
          );
        }
      });
    });
}

const shortened = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

function redrive(): Command {
  return new Command('redrive')
    .description('put messages of the dead-letter queue back where they came from')
    .option('--limit <n>', 'how many at most', '100')
    .option('--json', 'print JSON')
    .action(({ limit, json }: JsonOption & Readonly<{ limit: string }>) => {
      const most = wholeNumber('--limit', limit, { min: 1, max: 1_000_000 });
      return withTransport(async (transport) => {
        const redriven = await transport.redrive(most);
        if (json) printJson({ redriven });
        else print(`Put back ${String(redriven)} message(s).`);
      });
    });
}

async function withTransport(work: (transport: Transport) => Promise<void>): Promise<void> {
  const { rabbitmqUrl } = readConfig();
  if (rabbitmqUrl === null) {
    throw new CannotRun(
      'There is no RABBITMQ_URL: set it. The queues of a "jobledger start" without it are within its process; its dashboard shows them',
    );
  }
  const logger = createLogger('error', 'cli');
  const transport = await openRabbitmq(rabbitmqUrl, { role: 'cli', logger });
  try {
    await work(transport);
  } finally {
    await transport.close();
  }
}
