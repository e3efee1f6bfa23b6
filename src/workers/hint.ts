import type { IncomingMessage } from '../messaging/transport.ts';

/** A job that may be ready. The log decides whether it is. */
export type Hint = Readonly<{
  jobId: string;
  workflow: string;
  /** That of the job when it became ready; a job that has moved on since is another hint's. null: not said. */
  version: number | null;
}>;

/** The hint that the message is; null for anything else. The routing key is `new.<workflow>` or `resumed.<workflow>`. */
export function hintOf({ body, routingKey }: IncomingMessage): Hint | null {
  if (typeof body !== 'object' || body === null || !('jobId' in body)) return null;
  const { jobId } = body;
  const dot = routingKey.indexOf('.');
  if (typeof jobId !== 'string' || jobId === '' || dot === -1) return null;
  const version = 'version' in body && Number.isSafeInteger(body.version) ? body.version : null;
  return { jobId, workflow: routingKey.slice(dot + 1), version: version as number | null };
}
