import { Command } from 'commander';

import { type Config, readConfig } from '../platform/config.ts';
import { createLogger } from '../platform/logger.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import { localClones } from '../processes/local-clones.ts';
import { type Explanation, explainDelivery } from './explain-delivery.ts';
import { linesOf } from './explanation-lines.ts';
import {
  type StoredDelivery,
  deliveryOfFile,
  openSource,
  storedDelivery,
} from './given-delivery.ts';
import { print, printJson } from './output.ts';
import { providerNamed } from './provider-named.ts';
import { withSession } from './session.ts';
import { Usage } from './usage.ts';
import { workflowsOfToday } from './workflows-of-today.ts';

type TestOptions = Readonly<{
  provider?: string;
  event?: string;
  source?: string;
  delivery?: string;
  json?: boolean;
}>;

export function testCommand(): Command {
  return new Command('test')
    .description('what a delivery would do and why; sends nothing and stores nothing')
    .argument('[file]', 'the payload, as the host sends it')
    .option('--provider <name>', 'whose delivery it is; github without it')
    .option('--source <name>', "the source that it comes through; by default the provider's")
    .option('--event <name>', "the provider's name of the event, where the payload has none")
    .option('--delivery <id>', 'a delivery of the log in place of a file')
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, options: TestOptions) => {
      const { delivery, json } = options;
      if ((file === undefined) === (delivery === undefined)) {
        throw new Usage('Give either the file with a payload, or --delivery with an id');
      }
      if (file !== undefined) {
        const explanation = await explainFile(file, options);
        if (json) printJson(explanation);
        else print(linesOf(explanation).join('\n'));
      } else {
        await explainStored(delivery ?? '', options);
      }
    });
}

async function explainFile(file: string, options: TestOptions): Promise<Explanation> {
  const config = readConfig();
  const source = sourceOf(config, options);
  const delivery = deliveryOfFile(file, { source, event: options.event ?? null });
  return explain(config, delivery);
}

async function explainStored(
  id: string,
  { event, provider, source, json }: TestOptions,
): Promise<void> {
  if (event !== undefined || provider !== undefined) {
    throw new Usage('A delivery of the log has its own event and provider: leave the options out');
  }
  await withSession(async ({ database, config }) => {
    const stored = await storedDelivery(database, id);
    const explanation = await explainStoredDelivery(config, stored, source ?? null);
    if (json) printJson({ ...explanation, stored: { id: stored.id, ...stored.fate } });
    else print([...linesOf(explanation), '', ...linesOfStored(stored)].join('\n'));
  });
}

/** By the configuration and the workflows of now. A source that is gone is taken for one without restrictions. */
export async function explainStoredDelivery(
  config: Config,
  stored: StoredDelivery,
  through: string | null = null,
): Promise<Explanation> {
  const name = through ?? stored.sourceName;
  const known = config.sources.find((each) => each.name === name);
  if (known === undefined && through !== null) throw noSource(config, through);
  const source = known ?? openSource(name, stored.provider);
  return explain(config, { source, headers: stored.headers, body: stored.body });
}

async function explain(
  config: Config,
  delivery: Parameters<typeof explainDelivery>[0],
): Promise<Explanation> {
  const catalog = await workflowsOfToday(config, createLogger('warn', 'cli'));
  return explainDelivery(delivery, { catalog, localClones: localClones(config) });
}

/** To see what a host's delivery would do, its secret need not be there yet. */
function sourceOf(config: Config, { source: name, provider }: TestOptions): WebhookSource {
  const wanted = provider === undefined ? null : providerNamed(provider);
  const known = config.sources.find((each) => each.name === (name ?? wanted ?? 'github'));
  if (known === undefined && name !== undefined) throw noSource(config, name);
  if (known !== undefined && wanted !== null && known.provider !== wanted) {
    throw new Usage(`The source "${known.name}" is of ${known.provider}, not of ${wanted}`);
  }
  return known ?? openSource(wanted ?? 'github', wanted ?? 'github');
}

export function noSource({ sources }: Config, name: string): Usage {
  const known = sources.map((each) => each.name).join(', ');
  return new Usage(
    `There is no source "${name}": there ${known === '' ? 'is none' : `is ${known}`}`,
  );
}

function linesOfStored({ id, fate }: StoredDelivery): readonly string[] {
  const { receivedAt, outcome, reason, jobs } = fate;
  const what = jobs.map((job) => `${job.workflow} ${job.id}`).join(', ') || (reason ?? 'no jobs');
  return [
    `When it came (${receivedAt.toISOString()}) it was ${outcome}: ${what}.`,
    `Sent again it is a duplicate: 200 with the same jobs. "deliveries redeliver ${id}" requests what is missing.`,
  ];
}
