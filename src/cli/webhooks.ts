import { join } from 'node:path';

import { Command } from 'commander';

import { type Config, readConfig } from '../platform/config.ts';
import { newId } from '../platform/ids.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import { CannotRun } from '../processes/run-role.ts';
import { sampleSource } from '../processes/sample-source.ts';
import { contentOf } from './given-delivery.ts';
import { ingressOf, webhookAddress } from './ingress-address.ts';
import { print, printJson } from './output.ts';
import { samplePayload } from './sample-payload.ts';
import { signedHeaders } from './signed-headers.ts';
import { Usage } from './usage.ts';
import { listenCommand } from './webhooks-listen.ts';
import { setupCommand } from './webhooks-setup.ts';
import { testCommand } from './webhooks-test.ts';

export function webhooksCommand(): Command {
  return new Command('webhooks')
    .description('send deliveries as a Git host would, see what they do, and set hosts up')
    .addCommand(send())
    .addCommand(testCommand())
    .addCommand(setupCommand())
    .addCommand(listenCommand());
}

type SendOptions = Readonly<{
  sample?: boolean;
  provider: string;
  source?: string;
  event?: string;
  id?: string;
  url?: string;
  json?: boolean;
}>;

function send(): Command {
  return new Command('send')
    .description('send a correctly signed delivery')
    .argument('[file]', 'the payload, as the host sends it')
    .option('--sample', 'a pull request of a small repository that is made for it')
    .option('--provider <name>', 'whose delivery it is', 'github')
    .option('--source <name>', "the configured source; by default the one of the provider's name")
    .option('--event <name>', "the provider's name of the event, as pull_request")
    .option('--id <id>', 'the delivery id; by default a new one')
    .option('--url <url>', 'where the ingress listens')
    .option('--json', 'print the answer as JSON')
    .action(async (file: string | undefined, options: SendOptions) => {
      const config = readConfig();
      const source = sourceOf(config, options);
      const { body, event } = await payloadOf(file, options, config);
      const headers = signedHeaders(source, { body, event, deliveryId: options.id ?? newId() });
      const address = webhookAddress(options.url ?? ingressOf(config), source.name);
      const response = await post(address, { body, headers });
      const answer: unknown = await response.json();
      if (options.json) printJson({ status: response.status, ...(answer as object) });
      else print(`${String(response.status)} ${JSON.stringify(answer)}`);
      if (!response.ok) process.exitCode = 1;
      else if (!options.json) suggest(answer as { jobs?: { id: string }[] });
    });
}

async function post(
  address: string,
  { body, headers }: Readonly<{ body: Buffer; headers: Record<string, string> }>,
): Promise<Response> {
  try {
    return await fetch(address, { method: 'POST', headers, body: new Uint8Array(body) });
  } catch (error) {
    throw new CannotRun(`${address} cannot be reached: is "jobledger start" running?`, {
      cause: error,
    });
  }
}

function suggest({ jobs = [] }: Readonly<{ jobs?: readonly Readonly<{ id: string }>[] }>): void {
  const program = process.argv[1] ?? 'jobledger';
  for (const { id } of jobs) print(`Watch it:  node ${program} jobs watch ${id}`);
}

function sourceOf(
  config: Config,
  { provider, source: name = provider }: SendOptions,
): WebhookSource {
  const sources = [...config.sources, ...sampleSource(config)];
  const source = sources.find((each) => each.name === name);
  if (source !== undefined) return source;
  const known = sources.map((each) => each.name).join(', ');
  throw new Usage(
    `There is no source "${name}": there ${sources.length === 0 ? 'is none' : `is ${known}`}. A secret makes one, as GITLAB_WEBHOOK_SECRET`,
  );
}

async function payloadOf(
  file: string | undefined,
  { sample, event }: SendOptions,
  { dataDir }: Config,
): Promise<Readonly<{ body: Buffer; event: string }>> {
  if (sample) return { body: await samplePayload(join(dataDir, 'sample')), event: 'pull_request' };
  if (file === undefined) throw new Usage('Give the file with the payload, or --sample');
  if (event === undefined) throw new Usage('Give the event with --event, as --event pull_request');
  return { body: contentOf(file), event };
}
