import type { Approval } from './job.ts';

/** What a person said to an approval. `by`: the name of who it is, as the API or the machine knows it. */
export type ApprovalAnswer = Readonly<{ approved: boolean; by: string; comment: string | null }>;

/** The event that an approval of this name waits for, with the job's id as its key. */
export const approvalEvent = (name: string): string => `approval.${name}`;

export const mayAnswer = ({ approvers }: Approval, by: string): boolean =>
  approvers === null || approvers.includes(by);
