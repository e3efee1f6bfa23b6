import { expect, test } from 'vitest';

import type { Recorded } from '../../src/events/event.ts';
import type { JobEvent } from '../../src/events/job.ts';
import { LOSS_TYPES, noticeOf } from '../../src/workers/running-jobs.ts';
import * as a from '../support/jobs.ts';

const recorded = (event: JobEvent): Recorded<JobEvent> => ({
  ...event,
  id: 'e',
  streamId: 'j',
  version: 3,
  position: 7n,
  metadata: {},
  recordedAt: a.AT,
});

const outOfTime = a.failure({ name: 'JobTimeout', classification: 'timeout' });

test.each([a.cancelled, a.superseded, a.interrupted('released'), a.failed(1, outOfTime)])(
  'a run hears of $type from outside',
  (event) => {
    expect(LOSS_TYPES).toContain(event.type);
    expect(noticeOf(recorded(event))).toEqual({ jobId: 'j', type: event.type, position: 7n });
  },
);

test('a failure that a run reported itself takes nothing from it', () => {
  expect(noticeOf(recorded(a.failed()))).toBeNull();
});
