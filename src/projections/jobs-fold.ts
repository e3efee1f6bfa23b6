import type { Recorded } from '../events/event.ts';
import { type JobView, type StepView, advanceJobView, evolveJobView } from '../events/job-view.ts';
import type { JobEvent } from '../events/job.ts';
import type { Loaded } from './projection.ts';

/** A job on its way through a page. */
export type Change = {
  view: JobView;
  /** The place of each of `view.steps`: the version of the event that ended it. */
  ordinals: number[];
  /** The job's version before the page. */
  since: number;
  /** The places of steps that were there before the page and are gone. */
  dropped: number[];
};

/** The steps of a job are loaded only where a retry may drop some: the others just gain new ones. */
export function foldJobs(
  page: readonly Recorded<JobEvent>[],
  loaded: Loaded,
): ReadonlyMap<string, Change> {
  const before = loadedChanges(loaded);
  const changes = new Map<string, Change>();
  for (const event of page) {
    const change = changes.get(event.streamId) ?? before.get(event.streamId);
    changes.set(event.streamId, change ? advance(change, event) : begin(event));
  }
  return changes;
}

function begin(event: Recorded<JobEvent>): Change {
  if (event.version !== 1) {
    throw new Error(
      `Job ${event.streamId} has no row, but its event at position ${String(event.position)} is version ${String(event.version)}: rebuild the projection`,
    );
  }
  return { view: evolveJobView(null, event), ordinals: [], since: 0, dropped: [] };
}

function advance(change: Change, event: Recorded<JobEvent>): Change {
  const { steps } = change.view;
  advanceJobView(change.view, event);
  const now = change.view.steps;
  if (now === steps) return change;
  if (now.length === steps.length + 1 && steps.every((step, index) => step === now[index])) {
    change.ordinals.push(event.version);
    return change;
  }
  const ordinals = new Map(steps.map((step, index) => [step, change.ordinals[index] ?? 0]));
  change.ordinals = now.map((step) => ordinals.get(step) ?? event.version);
  const kept = new Set(change.ordinals);
  change.dropped.push(
    ...[...ordinals.values()].filter((place) => place <= change.since && !kept.has(place)),
  );
  return change;
}

function loadedChanges({ views = [], steps = [] }: Loaded): ReadonlyMap<string, Change> {
  const changes = new Map<string, Change>();
  for (const row of views) {
    const view = row['view'] as JobView;
    changes.set(view.id, { view, ordinals: [], since: view.version, dropped: [] });
  }
  for (const row of steps as readonly KeptStep[]) {
    const change = changes.get(row.job_id);
    if (!change) continue;
    change.ordinals.push(row.ordinal);
    change.view = { ...change.view, steps: [...change.view.steps, keptStep(row)] };
  }
  return changes;
}

type KeptStep = Readonly<{ job_id: string; ordinal: number } & Pick<StepView, 'name' | 'status'>>;

/** Only its name and status matter to the fold: its row stays as it is, or goes. */
const keptStep = ({ name, status }: KeptStep): StepView => ({
  name,
  status,
  attempt: 0,
  startedAt: '',
  finishedAt: '',
  output: null,
  error: null,
});
