import type { Config } from '../platform/config.ts';
import type { Logger } from '../platform/logger.ts';
import { runningStart } from '../platform/running-start.ts';
import { catalogOf } from '../processes/run-role.ts';
import type { WorkflowCatalog } from '../workflows/index.ts';

/** The workflows of `WORKFLOWS`, or of the `start` that runs in `DATA_DIR`. */
export function workflowsOfToday(config: Config, logger: Logger): Promise<WorkflowCatalog> {
  const workflows = config.workflows ?? runningStart(config.dataDir)?.workflows ?? null;
  return catalogOf({ config: { ...config, workflows }, logger });
}
