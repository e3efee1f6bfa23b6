import type { Event } from './event.ts';

/** A person was erased. The subject is the id that their sealed names bear; nothing says who it was. */
export type SubjectEvent = Event<
  typeof SUBJECT_FORGOTTEN,
  { subject: string | null; deliveries: number }
>;

export const SUBJECT_FORGOTTEN = 'SubjectForgotten';
