import type { Recorded } from '../events/event.ts';
import type { JobEvent, WaitRequest } from '../events/job.ts';
import { type JobStatus, type JobView, type StepView, evolveJobView } from '../events/job-view.ts';
import type { JsonValue } from '../sdk/index.ts';
import type { JobLog } from './job-log.ts';

/** An event of the job. What differs between two runs of the same test is left out. */
export type TestEvent = Readonly<Pick<Recorded<JobEvent>, 'type' | 'version' | 'at' | 'data'>>;

/** What a paused job waits for; `event` is `sleep` for a sleep. */
export type TestWait = NonNullable<JobView['waitingFor']> &
  Readonly<{ id: string; request: WaitRequest | null }>;

/** A job in memory, as people see it. */
export class ShownJob {
  protected view: JobView;
  private readonly recorded: TestEvent[] = [];

  constructor(
    protected readonly log: JobLog,
    requested: Recorded<JobEvent>,
  ) {
    this.view = evolveJobView(null, requested);
    this.recorded.push(shown(requested));
  }

  get jobId(): string {
    return this.log.jobId;
  }

  get status(): JobStatus {
    return this.view.status;
  }

  /** What the workflow returned; null until it is COMPLETED. */
  get result(): JsonValue {
    return this.view.result;
  }

  /** The last failure, also of an attempt that another one follows; null without any. */
  get error(): JobView['error'] {
    return this.view.error;
  }

  /** The steps that are done, with their kept results, in the order in which they were done. */
  get steps(): readonly StepView[] {
    return this.view.steps;
  }

  get events(): readonly TestEvent[] {
    return this.recorded;
  }

  /** Set while PAUSED. */
  get waitingFor(): TestWait | null {
    const { waitingFor } = this.view;
    const { phase } = this.log.state;
    if (waitingFor === null || phase.status !== 'paused') return null;
    return { ...waitingFor, id: phase.wait.id, request: phase.wait.request };
  }

  /** 0 until it has started. */
  get attempt(): number {
    return this.view.attempt;
  }

  /** Set while RETRYING. */
  get nextAttemptAt(): string | null {
    return this.view.nextAttemptAt;
  }

  get concurrencyKey(): string | null {
    return this.view.concurrencyKey;
  }

  /** Takes up what the log has since. */
  protected async refresh(): Promise<void> {
    for (const event of await this.log.eventsAfter(this.view.version)) {
      // Of two refreshes at a time, the other may have seen it.
      if (event.version <= this.view.version) continue;
      this.view = evolveJobView(this.view, event);
      this.recorded.push(shown(event));
    }
  }

  /** When the job goes on by itself. */
  protected nextDue(): number | null {
    if (this.view.finishedAt !== null) return null;
    const { deadline } = this.log.state;
    const due = [this.view.nextAttemptAt, this.view.waitingFor?.until, deadline]
      .filter((at) => typeof at === 'string')
      .map((at) => Date.parse(at));
    return due.length === 0 ? null : Math.min(...due);
  }
}

const shown = ({ type, version, at, data }: Recorded<JobEvent>): TestEvent => ({
  type,
  version,
  at,
  data,
});
