import { isJobEvent } from '../events/job.ts';
import type { Event } from '../events/event.ts';
import { SUBJECT_FORGOTTEN } from '../events/subject.ts';
import { jobStats } from './job-stats.ts';
import { jobs } from './jobs.ts';
import type { Projection } from './projection.ts';

/** Every read model. A new one needs its place here and nothing else: the projector makes its tables and views. */
export const PROJECTIONS: readonly Projection[] = [jobs, jobStats];

/** Whether this program knows what the event means. An unknown one comes from a newer program. */
export const isKnown = (event: Event): boolean =>
  isJobEvent(event) || event.type === 'SignalReceived' || event.type === SUBJECT_FORGOTTEN;
