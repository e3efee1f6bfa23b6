import type { Workflow } from '../sdk/index.ts';
import { createCodeReview } from './code-review/code-review.ts';

export type { CatalogOptions, WorkflowCatalog } from './catalog.ts';
export type { PlannedJob } from './planned-job.ts';
export { loadWorkflows } from './catalog.ts';
export { createCodeReview } from './code-review/code-review.ts';
export type { CodeReviewOptions } from './code-review/options.ts';

/** With the default options; in a module that `WORKFLOWS` names it gets the ones of the process. */
export const codeReview: Workflow = createCodeReview();
