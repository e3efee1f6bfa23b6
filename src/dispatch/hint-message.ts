import { jobHint } from '../messaging/topology.ts';
import type { OutgoingMessage } from '../messaging/transport.ts';
import type { ReadyJob } from '../write/prompt-hints.ts';

/** What tells workers of a ready job, whoever publishes it. */
export const hintMessage = ({
  jobId,
  workflow,
  kind,
  priority,
  version,
  position,
}: ReadyJob): OutgoingMessage => ({
  ...jobHint(workflow, kind),
  messageId: `${jobId}:${String(version)}`,
  body: { jobId, position: position === null ? null : String(position), version },
  mandatory: true,
  priority,
});
