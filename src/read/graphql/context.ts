import DataLoader from 'dataloader';
import { GraphQLError } from 'graphql';

import type { StepPlace } from '../../events/job.ts';
import type { Refusal, Viewer } from '../../platform/access.ts';
import type { Queryable } from '../../platform/database.ts';
import type { ApiStep } from '../job.ts';
import { type ApiProgress, loadProgress, loadRunningSteps, loadSteps } from '../job-steps.ts';

/** What every resolver gets beside its arguments. */
export type ApiContext = Readonly<{
  viewer: Viewer;
  steps: DataLoader<string, readonly ApiStep[]>;
  runningSteps: DataLoader<string, readonly StepPlace[]>;
  progress: DataLoader<string, ApiProgress | null>;
  place: Place;
}>;

/** Where a subscription to the log is, for a transport that can tell it to its reader and be told by it. */
export type Place = {
  /** The position of the event that is being given. */
  given: bigint | null;
  /** What the reader had last when it went. */
  resumeAfter: bigint | null;
};

/**
 * One per request, and one per subscription: the loaders gather what one answer asks for but keep nothing, as a
 * subscription's answers are about different moments.
 */
export function apiContext(database: Queryable, viewer: Viewer): ApiContext {
  return {
    viewer,
    steps: new DataLoader((ids) => loadSteps(database, ids), { cache: false }),
    runningSteps: new DataLoader((ids) => loadRunningSteps(database, ids), { cache: false }),
    progress: new DataLoader((ids) => loadProgress(database, ids), { cache: false }),
    place: { given: null, resumeAfter: null },
  };
}

const REFUSALS = {
  'no-key': 'Send an API key: Authorization: Bearer <key>',
  'wrong-key': 'The API key is not known',
  'not-loopback': 'Without API_KEYS the API serves this machine only: set API_KEYS',
} as const satisfies Record<Refusal, string>;

export function refused(refusal: Refusal): GraphQLError {
  return new GraphQLError(REFUSALS[refusal], {
    extensions: {
      code: refusal === 'not-loopback' ? 'FORBIDDEN' : 'UNAUTHENTICATED',
      http: { status: refusal === 'not-loopback' ? 403 : 401 },
    },
  });
}
