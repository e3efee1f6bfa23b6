import fc from 'fast-check';

import type { JobEvent } from '../../src/events/job.ts';
import type { JobCommand } from '../../src/write/job/commands.ts';
import { job } from '../../src/write/job/decider.ts';
import { Rejected } from '../../src/write/rejected.ts';
import * as a from '../support/jobs.ts';

/** Some events that one job's rules allowed at once. */
export type Happened = Readonly<{ job: number; events: readonly JobEvent[] }>;

const run = fc.constantFrom('r1', 'r2', 'r3');
const step = fc.constantFrom('clone', 'scan', 'comment');

const command: fc.Arbitrary<JobCommand> = fc.oneof(
  { weight: 3, arbitrary: run.map((id) => a.start(id, 3_600_000)) },
  {
    weight: 4,
    arbitrary: fc.tuple(step, run).map(([name, id]) => a.completeStep(name, { name, id }, id)),
  },
  { weight: 1, arbitrary: fc.tuple(step, run).map(([name, id]) => a.failStep(name, id)) },
  { weight: 2, arbitrary: run.map((id) => a.complete(id, { by: id })) },
  { weight: 2, arbitrary: run.map((id) => a.fail(id, { message: `a\u0000b\ud800 ${id}` })) },
  { weight: 1, arbitrary: run.map((id) => a.fail(id, { classification: 'permanent' })) },
  { weight: 1, arbitrary: run.map((id) => a.interrupt('lease-expired', id)) },
  { weight: 1, arbitrary: run.map((id) => a.interrupt('released', id)) },
  { weight: 1, arbitrary: run.map((id) => a.pause({}, id)) },
  { weight: 1, arbitrary: fc.constant(a.resume()) },
  { weight: 2, arbitrary: fc.option(step, { nil: null }).map((name) => a.retry(name)) },
  { weight: 1, arbitrary: fc.constantFrom(a.cancel, a.supersede) },
);

const HOSTILE = 'a\u0000b \ud800 "quoted" \\ {braces} ✓ 日本';

/**
 * What could have happened to a few jobs, in one order: random commands that the jobs' own rules let through. Titles
 * and errors hold what JSON can and Postgres's text cannot.
 */
export function histories(jobs: number, size: number): fc.Arbitrary<readonly Happened[]> {
  const asked = fc.tuple(fc.nat({ max: jobs - 1 }), command, fc.nat({ max: 600 }));
  return fc.array(asked, { maxLength: size, size: 'max' }).map((commands) => {
    const states = Array.from({ length: jobs }, () => job.initialState);
    const happened: Happened[] = [];
    const decide = (index: number, what: JobCommand): void => {
      const events = allowed(states[index] ?? job.initialState, what);
      if (events.length === 0) return;
      states[index] = events.reduce(job.evolve, states[index] ?? job.initialState);
      happened.push({ job: index, events });
    };
    for (const [index, what, seconds] of commands) {
      decide(index, { ...request(index), at: new Date(a.AT.getTime() + seconds * 1_000) });
      decide(index, { ...what, at: new Date(a.AT.getTime() + seconds * 1_000 + 7_200_000) });
    }
    return happened;
  });
}

function request(index: number): JobCommand {
  const { pullRequest } = a.trigger;
  const title = index % 2 === 0 ? HOSTILE : 'Add a thing';
  return a.requestJob({
    workflow: index % 3 === 0 ? 'scan' : 'review',
    trigger: { ...a.trigger, pullRequest: pullRequest && { ...pullRequest, title } },
  });
}

function allowed(state: typeof job.initialState, what: JobCommand): readonly JobEvent[] {
  try {
    return job.decide(state, what);
  } catch (error) {
    if (error instanceof Rejected) return [];
    throw error;
  }
}
