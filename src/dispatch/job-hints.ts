import type { OutgoingMessage, Transport } from '../messaging/transport.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import { hintMessage } from './hint-message.ts';
import { type HintableJob, type NextHints, Turns, overdueJobs, readNextHints } from './hint-sql.ts';
import type { HintWindow } from './hint-window.ts';
import { publishAndMark } from './publish-and-mark.ts';
import { mayHaveLost } from './queue-depth.ts';
import { IDLE_MS, type Reaction } from './reaction.ts';

/** How soon to look whether the broker is back. */
const NOT_READY_MS = 100;

/** After so many times `redispatchAfterMs`, a hint is published again even if the queues look full. */
const LONG_OVERDUE = 10;

/**
 * Publishes a hint for each job that a worker may take, and again when nobody took it in time. A hint that is lost, or
 * published twice, costs time and nothing else: the log decides who has the job.
 */
export class JobHints implements Reaction {
  readonly name = 'job hints';
  /** Whether jobs may have been left without a hint because enough are out. */
  isFull = false;
  private nextRepeatAt = 0;
  private places = 0;
  private readonly turns = new Turns();

  constructor(
    private readonly parts: Readonly<{
      database: Queryable;
      transport: Pick<Transport, 'publish' | 'isReady' | 'queues'>;
      window: HintWindow;
      counts: DispatchCounts;
      redispatchAfterMs: number;
      clock: () => Date;
      logger: Logger;
    }>,
  ) {}

  async runOnce(): Promise<number> {
    const { database, transport, window, redispatchAfterMs } = this.parts;
    if (!transport.isReady()) return NOT_READY_MS;
    // Until the answer is here: room that is made while the tables are read must not be overlooked.
    this.isFull = true;
    const size = window.size(this.places);
    const { hinted, places, oldestMs, jobs } = await readNextHints(database, size, this.turns);
    this.places = places;
    this.isFull = hasFullWorkflow(hinted, jobs, size);
    await this.publish(jobs);
    this.turns.note(jobs);
    this.parts.counts.hints += jobs.length;
    if (jobs.some(({ more }) => more)) return 0;
    if (oldestMs === null) return jobs.length > 0 ? redispatchAfterMs : IDLE_MS;
    if (oldestMs >= redispatchAfterMs) await this.repeat(sum(Object.values(hinted)), size);
    const pausedMs = this.nextRepeatAt - this.parts.clock().getTime();
    return Math.max(redispatchAfterMs - oldestMs, pausedMs, 1);
  }

  private publish(jobs: readonly HintableJob[]): Promise<void> {
    return publishAndMark(jobs, hint, this.parts);
  }

  /** While the queues hold as many hints as are out, none can be lost, and more of them would only pile up. */
  private async repeat(hinted: number, size: number): Promise<void> {
    const { database, transport, redispatchAfterMs, clock, counts } = this.parts;
    if (clock().getTime() < this.nextRepeatAt) return;
    const mayBeLost = await mayHaveLost(transport, hinted);
    const overdueMs = mayBeLost ? redispatchAfterMs : redispatchAfterMs * LONG_OVERDUE;
    const jobs = await database.query<HintableJob>(overdueJobs(overdueMs, size));
    await this.publish(jobs);
    counts.repeatedHints += jobs.length;
    this.nextRepeatAt = clock().getTime() + redispatchAfterMs / 4;
  }
}

function hasFullWorkflow(
  hinted: NextHints['hinted'],
  jobs: readonly HintableJob[],
  size: number,
): boolean {
  const out = new Map(Object.entries(hinted));
  for (const { workflow } of jobs) out.set(workflow, (out.get(workflow) ?? 0) + 1);
  return [...out.values()].some((count) => count >= size);
}

const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);

const hint = ({ job_id: jobId, phase, position, ...job }: HintableJob): OutgoingMessage =>
  hintMessage({
    ...job,
    jobId,
    kind: phase === 'resumed' ? 'resumed' : 'new',
    position: BigInt(position),
  });
