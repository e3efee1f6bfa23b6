import type { EventStore } from '../event-store/event-store.ts';
import { Follower } from '../event-store/follower.ts';
import type { LogHints } from '../event-store/log-hints.ts';
import { type GivenCommand, commandSignal } from '../events/command-signal.ts';
import type { Recorded } from '../events/event.ts';
import type { SignalEvent } from '../events/signal.ts';
import { pause } from '../platform/backoff.ts';
import type { Database, Queryable } from '../platform/database.ts';
import { derivedId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { DecideJob, type Door } from '../write/door.ts';
import { Rejected } from '../write/rejected.ts';
import { CANCEL_COMMANDS, DISPATCH } from './names.ts';

type Parts = Readonly<{
  database: Database;
  databaseUrl: string;
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  door: Door;
  logger: Logger;
  clock: () => Date;
}>;

/** How long it waits for the tables of the open jobs to know what came before a command, before it tries anew. */
const PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 20;

/**
 * Carries `/cancel` out: the jobs of the pull request that were requested before it and are open end. The command is in
 * the log with the delivery that brought it, so it is carried out at some time, whatever dies, and once.
 */
export function cancelCommands(parts: Parts): Follower {
  return new Follower(
    {
      name: CANCEL_COMMANDS,
      types: ['SignalReceived'],
      pageSize: 200,
      handle: async (page, transaction) => {
        for (const event of page as readonly Recorded<SignalEvent>[]) {
          if (event.data.event === CANCEL) await carryOut(event, transaction, parts);
        }
      },
    },
    parts,
  );
}

const CANCEL = commandSignal('cancel');
/** Who said so is the event's actor. */
const REASON = 'A comment said /cancel';

async function carryOut(
  signal: Recorded<SignalEvent>,
  transaction: Queryable,
  { door, logger, clock }: Parts,
): Promise<void> {
  const given = commandIn(signal);
  if (given === null) return;
  await untilKnown(transaction, signal.position);
  const jobs = await openJobs(transaction, given, signal.position);
  for (const jobId of jobs) {
    const command = { type: 'CancelJob', at: clock(), data: { reason: REASON } } as const;
    const about = {
      commandId: derivedId(jobId, signal.streamId),
      causationId: signal.streamId,
      actor: `${given.provider}:${given.author ?? ''}`,
    };
    await door.execute(new DecideJob(jobId, command, about)).catch((error: unknown) => {
      // It has ended meanwhile.
      if (!(error instanceof Rejected)) throw error;
    });
  }
  const { repository, pullRequest } = given;
  logger.info({ repository, pullRequest, jobs: jobs.length }, 'a comment cancelled jobs');
}

/** Anybody with the right to send signals may have written it; null: it names no pull request. */
function commandIn({ data: { payload } }: Recorded<SignalEvent>): GivenCommand | null {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return null;
  const { source, repository, pullRequest } = payload as Partial<GivenCommand>;
  const isWhole =
    typeof source === 'string' &&
    typeof repository === 'string' &&
    typeof pullRequest === 'number' &&
    Number.isSafeInteger(pullRequest);
  return isWhole ? (payload as GivenCommand) : null;
}

/** Resolves when the tables of the open jobs have all that the log holds up to the position. */
async function untilKnown(transaction: Queryable, position: bigint): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  const never = new AbortController().signal;
  for (;;) {
    const [row] = await transaction.query<{ known: boolean }>(sql`
      select position >= ${position} as known from log.followers where name = ${DISPATCH}`);
    if (row?.known === true) return;
    if (Date.now() > until)
      throw new Error('The open jobs are not known yet: is a dispatcher led?');
    await pause(LOOK_EVERY_MS, never);
  }
}

async function openJobs(
  transaction: Queryable,
  { source, repository, pullRequest }: GivenCommand,
  before: bigint,
): Promise<readonly string[]> {
  const rows = await transaction.query<{ job_id: string }>(sql`
    select job.job_id from dispatch.jobs as job
    join log.all_events as request on request.stream_id = job.job_id and request.version = 1
    where job.repository = ${`${source}/${repository}`} and job.requested_position < ${before}
      and request.data -> 'trigger' -> 'pullRequest' ->> 'number' = ${String(pullRequest)}
    order by job.requested_position`);
  return rows.map(({ job_id }) => job_id);
}
