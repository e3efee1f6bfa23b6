import { setTimeout as sleep } from 'node:timers/promises';

import { Command } from 'commander';

import type { Config } from '../platform/config.ts';
import { runningStart } from '../platform/running-start.ts';
import { CannotRun } from '../processes/run-role.ts';
import { listDeliveries } from '../read/deliveries.ts';
import { linesOf } from './explanation-lines.ts';
import { type StoredDelivery, storedDelivery } from './given-delivery.ts';
import { ingressOf, webhookAddress } from './ingress-address.ts';
import { type Counted, IngressCounters } from './ingress-counters.ts';
import { type Unstored, unstored } from './listened.ts';
import { print, printJson, say } from './output.ts';
import { type Session, withSession } from './session.ts';
import { wholeNumber } from './usage.ts';
import { explainStoredDelivery } from './webhooks-test.ts';

type ListenOptions = Readonly<{
  source?: string;
  admin?: string[];
  timeout?: string;
  json?: boolean;
}>;

export function listenCommand(): Command {
  return new Command('listen')
    .description('wait for the next delivery, and say what is right or wrong with it')
    .option('--source <name>', 'only of this source')
    .option('--admin <url...>', 'admin ports of the ingress; by default the one of this machine')
    .option('--timeout <seconds>', 'give up after this time')
    .option('--json', 'print JSON')
    .action((options: ListenOptions) =>
      withSession(async (session) => {
        const { timeout } = options;
        const seconds =
          timeout === undefined ? null : wholeNumber('--timeout', timeout, { min: 1, max: 86_400 });
        const found = await nextDelivery(session, options, seconds);
        if ('outcome' in found) tellUnstored(found, options);
        else await tellStored(session.config, found, options);
      }),
    );
}

const POLL_MS = 500;

async function nextDelivery(
  session: Session,
  options: ListenOptions,
  seconds: number | null,
): Promise<StoredDelivery | Unstored> {
  const counters = new IngressCounters(adminsOf(session.config, options));
  await counters.news();
  const before = new Set(await newestIds(session, options));
  tellWhere(session.config, options);
  const end = seconds === null ? Infinity : performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    await sleep(POLL_MS);
    const refused = firstOf(await counters.news(), options);
    if (refused !== null) return refused;
    const id = (await newestIds(session, options)).findLast((each) => !before.has(each));
    if (id !== undefined) return storedDelivery(session.database, id);
  }
  throw new CannotRun(
    `Nothing came within ${String(seconds)} s: is the address right ("webhooks setup"), and can the host reach it?`,
  );
}

/** Without one, what was refused is not seen: no database is asked for what is not authentic, so none knows of it. */
function adminsOf({ dataDir, adminPort }: Config, { admin }: ListenOptions): readonly string[] {
  if (admin !== undefined) return admin;
  const started = runningStart(dataDir)?.admin;
  if (started !== undefined) return [started];
  if (adminPort !== 0) return [`http://127.0.0.1:${String(adminPort)}`];
  say(
    'What is refused is not seen: give the admin port of the ingress with --admin or ADMIN_PORT.',
  );
  return [];
}

async function newestIds(
  { database }: Session,
  { source }: ListenOptions,
): Promise<readonly string[]> {
  const filter = { source: source === undefined ? null : [source] };
  const { nodes } = await listDeliveries(database, { filter, first: 100 });
  return nodes.map(({ id }) => id);
}

function tellWhere(config: Config, { source }: ListenOptions): void {
  const address = webhookAddress(ingressOf(config), source ?? '<source>');
  say(`Waiting for a delivery to ${address} …`);
}

/** Something that was sent to no source at all may be the delivery that one waits for, or not. */
function firstOf(news: readonly Counted[], { source }: ListenOptions): Unstored | null {
  for (const counted of news) {
    const seen = unstored(counted);
    if (seen === null) continue;
    if (source === undefined || counted.source === source) return seen;
    if (counted.source === 'unknown') say(`Something came: ${seen.explanation}.`);
  }
  return null;
}

function tellUnstored(found: Unstored, { json }: ListenOptions): void {
  if (json) printJson({ ...found, stored: null });
  else print(`${mark(found.right)} ${found.source}: ${found.outcome}. ${found.explanation}.`);
  if (!found.right) process.exitCode = 1;
}

async function tellStored(
  config: Config,
  stored: StoredDelivery,
  { json }: ListenOptions,
): Promise<void> {
  const { outcome, reason, jobs } = stored.fate;
  const right = outcome !== 'unmappable';
  const explanation = await explainStoredDelivery(config, stored);
  if (json) {
    printJson({ ...explanation, right, hint: null, stored: { id: stored.id, ...stored.fate } });
  } else {
    print(`${mark(right)} ${stored.sourceName}: ${outcome}. The signature is right.`);
    print(
      reason ?? `It started ${jobs.map(({ workflow, id }) => `${workflow} ${id}`).join(', ')}.`,
    );
    print(['', ...linesOf(explanation)].join('\n'));
  }
  if (!right) process.exitCode = 1;
}

const mark = (right: boolean): string => (right ? 'RIGHT' : 'WRONG');
