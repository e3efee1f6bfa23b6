import { Command } from 'commander';

import type { EventStore } from '../event-store/event-store.ts';
import { tail } from '../event-store/tail.ts';
import type { Recorded } from '../events/event.ts';
import { CannotRun } from '../processes/run-role.ts';
import { toApiEvent } from '../read/job-history.ts';
import { print, printJson, printJsonLine, printTable } from './output.ts';
import { withSession } from './session.ts';
import { position } from './usage.ts';
import { verifyLog } from './verify-log.ts';

type JsonOption = Readonly<{ json?: boolean }>;
type TailOptions = JsonOption & Readonly<{ after?: string; type?: string[] }>;

export function eventsCommand(): Command {
  return new Command('events')
    .description('look at the log')
    .addCommand(tailCommand())
    .addCommand(show())
    .addCommand(verify())
    .addCommand(exportCommand());
}

function tailCommand(): Command {
  return new Command('tail')
    .description('the log as it grows, until SIGINT')
    .option('--after <position>', 'begin just after this position; without it: from now on')
    .option('--type <type...>', 'only these types')
    .option('--json', 'one JSON document a line')
    .action(({ after, type, json }: TailOptions) =>
      withSession(async ({ store, hints, logger }) => {
        const stop = new AbortController();
        const end = (): void => {
          stop.abort();
        };
        process.once('SIGINT', end).once('SIGTERM', end);
        const from = after === undefined ? await store.head() : position(after);
        const options = { store, hints, logger, after: from, ...(type ? { types: type } : {}) };
        for await (const page of tail(options, stop.signal)) {
          for (const event of page) {
            if (json) printJsonLine(toApiEvent(event));
            else print(line(event));
          }
        }
      }),
    );
}

const line = ({ position: at, recordedAt, streamId, version, type }: Recorded): string =>
  `${String(at).padStart(8)}  ${recordedAt.toISOString()}  ${streamId}  ${String(version).padStart(3)}  ${type}`;

function show(): Command {
  return new Command('show')
    .description('the history of one job')
    .argument('<jobId>')
    .option('--json', 'print JSON')
    .action((jobId: string, { json }: JsonOption) =>
      withSession(async ({ store }) => {
        const events = await store.readStream(jobId);
        if (events.length === 0) throw new CannotRun(`There are no events of ${jobId}`);
        if (json) printJson(events.map(toApiEvent));
        else {
          printTable(
            ['VERSION', 'POSITION', 'AT', 'TYPE', 'DATA'],
            events.map((event) => [
              event.version,
              event.position,
              event.at.toISOString(),
              event.type,
              JSON.stringify(event.data).slice(0, 100),
            ]),
            'No events.',
          );
        }
      }),
    );
}

function verify(): Command {
  return new Command('verify')
    .description('check the log: positions without gaps, versions without gaps, ids used once')
    .option('--json', 'print JSON')
    .action(({ json }: JsonOption) =>
      withSession(async ({ database }) => {
        const report = await verifyLog(database);
        if (json) printJson(report);
        else {
          print(`${String(report.events)} events, ${String(report.streams)} streams`);
          for (const fault of report.faults) print(`fault: ${fault}`);
          if (report.faults.length === 0) print('The log is whole.');
        }
        if (report.faults.length > 0) process.exitCode = 1;
      }),
    );
}

function exportCommand(): Command {
  return new Command('export')
    .description('all events as NDJSON, one a line')
    .option('--after <position>', 'begin just after this position', '0')
    .action(({ after }: Readonly<{ after: string }>) =>
      withSession(async ({ log }) => {
        for await (const event of everything(log, position(after))) {
          printJsonLine(toApiEvent(event));
        }
      }),
    );
}

const PAGE = 1_000;

async function* everything(store: EventStore, from: bigint): AsyncGenerator<Recorded> {
  for (let after = from; ;) {
    const page = await store.readAll({ after, limit: PAGE });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.position;
  }
}
