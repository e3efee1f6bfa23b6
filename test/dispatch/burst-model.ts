import type { Recorded } from '../../src/events/event.ts';
import { FINAL_EVENTS, type JobEvent } from '../../src/events/job.ts';

const OVER: ReadonlySet<string> = new Set(['JobStarted', ...FINAL_EVENTS]);

/** The newest job of each line of debounced jobs of which none has begun, and when the first of them came. */
export class BurstModel {
  private readonly lines = new Map<string, { jobId: string; beganAt: Date }>();

  /** Until when the job of the event is held, if that follows from it. */
  follow(event: Recorded<JobEvent>): Date | null {
    if (OVER.has(event.type)) this.end(event.streamId);
    return event.type === 'JobRequested' ? this.join(event) : null;
  }

  private end(ended: string): void {
    for (const [line, { jobId }] of this.lines) if (jobId === ended) this.lines.delete(line);
  }

  private join({
    streamId,
    recordedAt: at,
    data: { workflow, concurrency },
  }: Recorded<Extract<JobEvent, { type: 'JobRequested' }>>): Date | null {
    if (concurrency?.strategy !== 'debounce') return null;
    const line = `${workflow} ${concurrency.key}`;
    const beganAt = this.lines.get(line)?.beganAt ?? at;
    this.lines.set(line, { jobId: streamId, beganAt });
    const { quietMs, maxWaitMs } = concurrency;
    return new Date(Math.min(at.getTime() + quietMs, beganAt.getTime() + maxWaitMs));
  }
}
