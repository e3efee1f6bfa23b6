import { setTimeout as sleep } from 'node:timers/promises';

import { query } from '../support/api-client.ts';
import { SECRET } from '../support/deployment.ts';
import { deliver, push } from '../support/webhooks.ts';
import type { PlannedDelivery } from './plan.ts';

type Answered = Readonly<{
  status: number;
  jobs: readonly Readonly<{ id: string; workflow: string }>[];
}>;

/** A delivery with all that was answered to it. */
export type SentDelivery = Readonly<{
  planned: PlannedDelivery;
  /** `none`: the connection broke, or nothing came in time. */
  answers: (Answered | 'none')[];
}> & {
  /** What the API said to the cancellation. */
  cancelled: 'yes' | 'too-late' | null;
};

const ANSWER_MS = 10_000;
const AGAIN_MS = 400;

/** Plays the hosts and the people: sends what is planned, and again whatever got no answer. */
export class Load {
  readonly sent: SentDelivery[] = [];
  /** Answers that no fault explains. */
  readonly strange: string[] = [];
  private readonly begun = performance.now();
  private held: Promise<void> | null = null;
  private underWay = 0;

  constructor(private readonly urls: Readonly<{ ingress: string; api: string }>) {}

  /** Resolves when everything was answered, which may take until the last fault is over; or the signal aborts. */
  async run(planned: readonly PlannedDelivery[], signal: AbortSignal): Promise<void> {
    await Promise.all(planned.map((delivery) => this.play(delivery, signal)));
  }

  /** The ids of all deliveries that were accepted. */
  get accepted(): readonly string[] {
    return this.sent.flatMap(({ planned, answers }) =>
      answers.some((answer) => answer !== 'none' && answer.status < 300) ? [planned.id] : [],
    );
  }

  /** No delivery is sent, and none is on its way, while `work` runs. */
  async still(work: () => Promise<void>): Promise<void> {
    let release = (): void => {};
    this.held = new Promise((resolve) => {
      release = resolve;
    });
    try {
      while (this.underWay > 0) await sleep(20);
      await work();
    } finally {
      this.held = null;
      release();
    }
  }

  private async play(planned: PlannedDelivery, signal: AbortSignal): Promise<void> {
    await sleep(Math.max(planned.atMs - (performance.now() - this.begun), 0));
    const sent: SentDelivery = { planned, answers: [], cancelled: null };
    this.sent.push(sent);
    const [jobId] = await Promise.all(
      Array.from({ length: planned.copies }, () => this.send(sent, signal)),
    );
    if (jobId === undefined) return;
    await Promise.all([this.cancel(sent, jobId, signal), this.signal(sent, jobId, signal)]);
  }

  /** Until it is accepted; gives the id of its job. */
  private async send(
    { planned, answers }: SentDelivery,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { id, workflow, sha, branch } = planned;
    const payload = push(`chaos/${workflow}`, { after: sha, ref: `refs/heads/${branch}` });
    while (!signal.aborted) {
      await this.held;
      this.underWay += 1;
      const answer = await answered(this.urls.ingress, payload, id);
      this.underWay -= 1;
      answers.push(answer);
      if (answer !== 'none' && answer.status < 300) return answer.jobs[0]?.id;
      if (answer !== 'none' && answer.status !== 503) {
        this.strange.push(`delivery ${id} was answered with ${String(answer.status)}`);
        return undefined;
      }
      await sleep(AGAIN_MS);
    }
    return undefined;
  }

  private async signal(
    { planned }: SentDelivery,
    jobId: string,
    signal: AbortSignal,
  ): Promise<void> {
    if (planned.signalAfterMs === null) return;
    await sleep(planned.signalAfterMs);
    await this.insist(signal, async () => {
      // A signal is for jobs that are in the log before it.
      const { job } = await this.asked<{ job: object | null }>(
        'query ($id: ID!) { job(id: $id) { id } }',
        { id: jobId },
      );
      if (job === null) throw new Error('not there yet');
      await this.asked(
        `mutation ($job: String!, $payload: JSON, $id: ID!) {
          sendSignal(event: "go", key: $job, payload: $payload, id: $id) { stored }
        }`,
        { job: jobId, payload: jobId, id: planned.id },
      );
    });
  }

  private async cancel(sent: SentDelivery, jobId: string, signal: AbortSignal): Promise<void> {
    if (sent.planned.cancelAfterMs === null) return;
    await sleep(sent.planned.cancelAfterMs);
    await this.insist(signal, async () => {
      const { cancelJob } = await this.asked<{ cancelJob: { errors: { code: string }[] } }>(
        'mutation ($id: ID!) { cancelJob(id: $id, reason: "chaos") { errors { code } } }',
        { id: jobId },
      );
      const [error] = cancelJob.errors;
      if (error?.code === 'JOB_NOT_FOUND') throw new Error('not there yet');
      if (error !== undefined && error.code !== 'JOB_FINISHED') {
        this.strange.push(`cancelling job ${jobId} was refused with ${error.code}`);
      }
      sent.cancelled = error === undefined ? 'yes' : 'too-late';
    });
  }

  /** Tries until there is an answer; every request is made to bear repetition. */
  private async insist(signal: AbortSignal, request: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      try {
        await request();
        return;
      } catch {
        await sleep(AGAIN_MS);
      }
    }
  }

  private asked<T>(text: string, variables: object): Promise<T> {
    return inTime(query<T>(this.urls.api, text, variables));
  }
}

async function answered(url: string, payload: object, id: string): Promise<Answered | 'none'> {
  try {
    const response = await inTime(deliver(url, payload, { secret: SECRET, id }));
    const body = (await inTime(response.json())) as { jobs?: Answered['jobs'] };
    return { status: response.status, jobs: body.jobs ?? [] };
  } catch {
    return 'none';
  }
}

/** A host waits so long for an answer; it may still be worked on. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = sleep(ANSWER_MS, null, { signal: over.signal }).then(() => {
    throw new Error('no answer in time');
  });
  late.catch(() => {});
  answer.catch(() => {});
  try {
    return await Promise.race([answer, late]);
  } finally {
    over.abort();
  }
}
