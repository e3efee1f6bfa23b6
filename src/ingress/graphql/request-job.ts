import type { Json } from '../../events/event.ts';
import type { Trigger } from '../../events/trigger.ts';

export type RequestJobInput = Readonly<{
  workflow: string;
  repository: string;
  cloneUrl?: string | null;
  pullRequest?: number | null;
  ref?: string | null;
  headSha?: string | null;
  baseSha?: string | null;
  input?: Json;
  priority?: number | null;
  idempotencyKey?: string | null;
}>;

/** The trigger of a job that a person or program asks for. */
export function manualTrigger(
  input: RequestJobInput,
  { deliveryId, sender }: Readonly<{ deliveryId: string; sender: string }>,
): Trigger {
  const { repository, cloneUrl = null, pullRequest = null, baseSha = null } = input;
  return {
    provider: 'manual',
    source: 'manual',
    deliveryId,
    event: pullRequest === null ? 'push' : 'pull_request',
    action: 'requested',
    repository: { fullName: repository, url: null, cloneUrl },
    pullRequest:
      pullRequest === null
        ? null
        : {
            number: pullRequest,
            title: null,
            url: null,
            headRepository: repository,
            baseBranch: null,
            baseSha,
          },
    ref: input.ref ?? null,
    headSha: input.headSha ?? null,
    baseSha,
    sender,
  };
}
