import { createHash } from 'node:crypto';

import type { WorkflowCode } from '../events/job.ts';
import type { Workflow } from '../sdk/workflow.ts';

const known = new WeakMap<Workflow, WorkflowCode>();

/** The version that the author gave, and a hash of the text of `run`, which changes also where the version did not. */
export function codeOf(workflow: Workflow): WorkflowCode {
  const code = known.get(workflow) ?? {
    version: workflow.version,
    fingerprint: createHash('sha256').update(String(workflow.run)).digest('hex').slice(0, 16),
  };
  known.set(workflow, code);
  return code;
}
