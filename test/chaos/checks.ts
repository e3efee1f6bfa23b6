import { isDeepStrictEqual } from 'node:util';

import type { Recorded } from '../../src/events/event.ts';
import { type JobView, evolveJobView } from '../../src/events/job-view.ts';
import { type JobEvent, isJobEvent } from '../../src/events/job.ts';
import { type Execution, type History, JOB_FINAL } from './history.ts';
import type { SentDelivery } from './load.ts';
import { type WorkflowName, isDoomed } from './plan.ts';

type Stream = Readonly<{ id: string; events: readonly Recorded<JobEvent>[] }>;
type Facts = Readonly<{
  history: History;
  jobs: readonly Stream[];
  /** What was planned for the job. */
  sentOf: ReadonlyMap<string, SentDelivery>;
}>;
type Check = (facts: Facts) => readonly string[];

/** Says what is wrong with a run, claim by claim, and of which job; empty when every claim holds. */
export function violations(history: History): readonly string[] {
  const facts = { history, jobs: jobsOf(history), sentOf: plannedFor(history) };
  return Object.entries(CHECKS).flatMap(([claim, check]) =>
    check(facts).map((violation) => `${claim}: ${violation}`),
  );
}

const CHECKS = {
  'positions are dense, versions too, and ids are unique': ({ history: { events } }) => {
    const versions = new Map<string, number>();
    const ids = new Set<string>();
    return events.flatMap(({ position, streamId, version, id }, index) => {
      const expected = (versions.get(streamId) ?? 0) + 1;
      versions.set(streamId, version);
      const isRepeated = ids.has(id);
      ids.add(id);
      return [
        ...(position === BigInt(index + 1)
          ? []
          : [`event ${String(index + 1)} has position ${String(position)}`]),
        ...(version === expected
          ? []
          : [
              `job ${streamId} has version ${String(version)} at ${String(position)}, not ${String(expected)}`,
            ]),
        ...(isRepeated ? [`the id ${id} is there twice, at ${String(position)}`] : []),
      ];
    });
  },

  'a delivery that was accepted has its job, once': ({ history, jobs }) => [
    ...history.sent.flatMap((sent) => deliveryFaults(sent, history, jobs)),
    ...(jobs.length === history.sent.length
      ? []
      : [`${String(history.sent.length)} deliveries made ${String(jobs.length)} jobs`]),
  ],

  'a job ends once, and does nothing after': ({ jobs }) =>
    jobs.flatMap(({ id, events }) => {
      const ends = events.filter(({ type }) => JOB_FINAL.has(type));
      const last = events.at(-1);
      return ends.length === 1 && last === ends[0]
        ? []
        : [`job ${id} has the events ${events.map(({ type }) => type).join(', ')}`];
    }),

  'runs of a job do not overlap, and only the one that has it speaks': ({ jobs }) =>
    jobs.flatMap(runFaults),

  'a step that was kept is not executed again': ({ jobs, history }) =>
    kept(jobs).flatMap(({ jobId, name, recordedAt }) =>
      history.executions
        .filter(
          (execution) =>
            execution.jobId === jobId &&
            execution.step === name &&
            execution.at > recordedAt.getTime() &&
            !hasJustThawed(execution, history),
        )
        .map(
          ({ token, at }) =>
            `step ${name} of job ${jobId} began again ${String(at - recordedAt.getTime())} ms after it was kept (${token})`,
        ),
    ),

  'what is kept of a step, and what a job gives, comes from an execution': ({ jobs, history }) => {
    const executed = new Set(
      history.executions.map(({ jobId, step, token }) => `${jobId} ${step} ${token}`),
    );
    return [
      ...kept(jobs)
        .filter(({ jobId, name, output }) => !executed.has(`${jobId} ${name} ${String(output)}`))
        .map(({ jobId, name }) => `step ${name} of job ${jobId} has an output that nobody made`),
      ...jobs.flatMap(resultFaults),
    ];
  },

  'a job ends as it must': ({ jobs, sentOf }) =>
    jobs.flatMap((job) => endingFaults(job, sentOf.get(job.id))),

  'only a newer job of the same line supersedes, and the newest goes on': ({ jobs }) =>
    linesOf(jobs, 'newest').flatMap((line) =>
      line.flatMap(({ id, events }, place) => {
        const end = events.find(({ type }) => type === 'JobSuperseded');
        if (end?.type !== 'JobSuperseded') return [];
        const by = line.findIndex((other) => other.id === end.data.by);
        return by > place ? [] : [`job ${id} was superseded by ${end.data.by}, which is not newer`];
      }),
    ),

  'a line goes one at a time, in the order of the requests': ({ jobs }) =>
    linesOf(jobs, 'in-line').flatMap((line) =>
      line.flatMap(({ id, events }, place) => {
        const [before] = line.slice(0, place).toSorted((a, b) => Number(endOf(b) - endOf(a)));
        const start = events.find(({ type }) => type === 'JobStarted')?.position;
        return before === undefined || start === undefined || start > endOf(before)
          ? []
          : [`job ${id} started before ${before.id} ended, which was requested before it`];
      }),
    ),

  'the read model shows what the log says': ({ jobs, history }) => {
    const shown = new Map(history.shown.map(({ jobId, view }) => [jobId, view]));
    return jobs.flatMap(({ id, events }) => {
      const folded = events.reduce<JobView | null>(evolveJobView, null);
      // As JSON keeps it.
      const expected = JSON.parse(JSON.stringify({ ...folded, steps: [] })) as unknown;
      return isDeepStrictEqual(shown.get(id), expected)
        ? []
        : [`job ${id} is shown as ${JSON.stringify(shown.get(id) ?? null)}`];
    });
  },
} as const satisfies Record<string, Check>;

function deliveryFaults(
  { planned, answers }: SentDelivery,
  { deliveries }: History,
  jobs: readonly Stream[],
): readonly string[] {
  const stored = deliveries.filter(({ deliveryId }) => deliveryId === planned.id);
  const wanted = stored.flatMap((delivery) => delivery.jobs);
  const [job] = wanted;
  if (stored.length !== 1 || wanted.length !== 1 || job === undefined) {
    return [
      `delivery ${planned.id} is stored ${String(stored.length)} times, with ${String(wanted.length)} jobs`,
    ];
  }
  const stream = jobs.find(({ id }) => id === job.id);
  const requests = stream?.events.filter(({ type }) => type === 'JobRequested') ?? [];
  const promised = answers.flatMap((answer) => (answer === 'none' ? [] : answer.jobs));
  const others = promised.filter(({ id }) => id !== job.id);
  return [
    ...(job.workflow === planned.workflow
      ? []
      : [`delivery ${planned.id} is for ${planned.workflow}, and its job for ${job.workflow}`]),
    ...(requests.length === 1
      ? []
      : [`job ${job.id} of delivery ${planned.id} was requested ${String(requests.length)} times`]),
    ...others.map(({ id }) => `delivery ${planned.id} was promised job ${id}, and has ${job.id}`),
    ...(promised.length > 0 ? [] : [`delivery ${planned.id} was never accepted`]),
  ];
}

function runFaults({ id, events }: Stream): readonly string[] {
  let running: string | null = null;
  let mayStart = false;
  const faults: string[] = [];
  for (const event of events) {
    if (event.type === 'JobStarted') {
      if (running !== null) faults.push(`job ${id} started while ${running} ran it`);
      else if (!mayStart) faults.push(`job ${id} started while it waited`);
      running = event.data.runId;
      continue;
    }
    if ('runId' in event.data && event.data.runId !== running) {
      faults.push(`job ${id} has a ${event.type} of ${event.data.runId}, which did not run it`);
    }
    if (event.type !== 'JobStepCompleted') running = null;
    mayStart = event.type !== 'JobPaused';
  }
  return faults;
}

function resultFaults({ id, events }: Stream): readonly string[] {
  const outputs = events.flatMap((event) =>
    event.type === 'JobStepCompleted' ? [event.data.output] : [],
  );
  const names = events.flatMap((event) =>
    event.type === 'JobStepCompleted' ? [event.data.name] : [],
  );
  return [
    ...(new Set(names).size === names.length ? [] : [`job ${id} kept a step twice`]),
    ...events.flatMap((event) =>
      event.type !== 'JobCompleted' || isDeepStrictEqual(event.data.result, outputs)
        ? []
        : [`job ${id} gives ${JSON.stringify(event.data.result)}, not ${JSON.stringify(outputs)}`],
    ),
  ];
}

function endingFaults({ id, events }: Stream, sent: SentDelivery | undefined): readonly string[] {
  if (sent === undefined) return [`job ${id} belongs to no delivery`];
  const { planned, cancelled } = sent;
  const end = events.at(-1)?.type;
  const isFlawed = planned.workflow === 'flaky' && isDoomed(planned.sha);
  const may: Readonly<Record<string, boolean>> = {
    JobCompleted: cancelled !== 'yes' && !isFlawed,
    JobFailed: cancelled !== 'yes' && isFlawed,
    JobCancelled: planned.cancelAfterMs !== null,
    JobSuperseded: cancelled !== 'yes' && planned.workflow === 'newest',
  };
  return end !== undefined && may[end] === true
    ? []
    : [
        `job ${id} (${planned.workflow}) ended with ${String(end)}; cancelled: ${String(cancelled)}, fails for good: ${String(isFlawed)}`,
      ];
}

type KeptStep = Readonly<{ jobId: string; name: string; output: unknown; recordedAt: Date }>;

const kept = (jobs: readonly Stream[]): readonly KeptStep[] =>
  jobs.flatMap(({ id, events }) =>
    events.flatMap((event) =>
      event.type === 'JobStepCompleted'
        ? [{ jobId: id, ...event.data, recordedAt: event.recordedAt }]
        : [],
    ),
  );

const THAW_MS = 1_000;

/**
 * Whether its process had been frozen and had no time yet to see that its lease is over: no log can stop code that
 * stood still between its last report and its next step.
 */
const hasJustThawed = ({ pid, at }: Execution, { frozen }: History): boolean =>
  frozen.some((time) => time.pid === pid && at >= time.from && at <= time.to + THAW_MS);

/** The jobs of a workflow by their concurrency key, in the order of their requests. */
function linesOf(jobs: readonly Stream[], workflow: WorkflowName): readonly (readonly Stream[])[] {
  const lines = new Map<string, Stream[]>();
  for (const job of jobs) {
    const [request] = job.events;
    if (request?.type !== 'JobRequested' || request.data.workflow !== workflow) continue;
    const key = request.data.concurrency?.key ?? job.id;
    lines.set(key, [...(lines.get(key) ?? []), job]);
  }
  return [...lines.values()];
}

const NEVER = BigInt(Number.MAX_SAFE_INTEGER);

const endOf = ({ events }: Stream): bigint =>
  events.find(({ type }) => JOB_FINAL.has(type))?.position ?? NEVER;

/** In the order of the requests. */
export function jobsOf({ events }: Pick<History, 'events'>): readonly Stream[] {
  const streams = new Map<string, Recorded<JobEvent>[]>();
  for (const event of events) {
    if (!isJobEvent(event)) continue;
    const stream = streams.get(event.streamId);
    if (stream === undefined) streams.set(event.streamId, [event]);
    else stream.push(event);
  }
  return [...streams].map(([id, jobEvents]) => ({ id, events: jobEvents }));
}

function plannedFor({ sent, deliveries }: History): ReadonlyMap<string, SentDelivery> {
  const byDelivery = new Map(sent.map((one) => [one.planned.id, one]));
  return new Map(
    deliveries.flatMap(({ deliveryId, jobs }) => {
      const found = byDelivery.get(deliveryId);
      return found === undefined ? [] : jobs.map(({ id }) => [id, found] as const);
    }),
  );
}
