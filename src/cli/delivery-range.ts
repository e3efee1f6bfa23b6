import type { Command } from 'commander';

import type { DeliveryFilter } from '../read/deliveries.ts';
import { Usage } from './usage.ts';

export type RangeOptions = Readonly<{
  source?: string[];
  event?: string[];
  outcome?: string[];
  repository?: string;
  from?: string;
  to?: string;
  search?: string;
}>;

/** The options that choose deliveries. */
export function withRange(command: Command): Command {
  return command
    .option('--source <name...>', 'that came through these sources')
    .option('--event <event...>', 'as the host calls it')
    .option('--outcome <outcome...>', 'accepted, ignored or unmappable')
    .option('--repository <name>', 'its full name')
    .option('--from <time>', 'received after it, as 2026-11-20T08:00:00Z')
    .option('--to <time>', 'received before it')
    .option('--search <text>', 'in the name of the repository, the source or the event; or an id');
}

/** null where no option chooses any. */
export function filterOf(options: RangeOptions): DeliveryFilter {
  const { source, event, outcome, repository, from, to, search } = options;
  return {
    source: source ?? null,
    event: event ?? null,
    outcome: outcome?.map(outcomeNamed) ?? null,
    repository: repository ?? null,
    receivedAfter: time(from),
    receivedBefore: time(to),
    search: search ?? null,
  };
}

const OUTCOMES = ['accepted', 'ignored', 'unmappable'];

function outcomeNamed(text: string): string {
  const outcome = text.toLowerCase();
  if (OUTCOMES.includes(outcome)) return outcome;
  throw new Usage(`There is no outcome "${text}": there are ${OUTCOMES.join(', ')}`);
}

function time(text: string | undefined): Date | null {
  if (text === undefined) return null;
  const at = new Date(text);
  if (!Number.isNaN(at.getTime())) return at;
  throw new Usage(`"${text}" is not a time: give it as 2026-11-20T08:00:00Z`);
}
