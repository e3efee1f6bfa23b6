import type { Command } from 'commander';

import { apiKeysCommand } from './apikeys.ts';
import { archiveCommand } from './archive.ts';
import { deliveriesCommand } from './deliveries.ts';
import { doctorCommand } from './doctor.ts';
import { eventsCommand } from './events.ts';
import { jobsCommand } from './jobs.ts';
import { migrateCommand } from './migrate.ts';
import { mirrorCommand } from './mirror.ts';
import { privacyCommand } from './privacy.ts';
import { projectionsCommand } from './projections.ts';
import { queuesCommand } from './queues.ts';
import { reconcileCommand } from './reconcile.ts';
import { schedulesCommand } from './schedules.ts';
import { signalCommand } from './signal.ts';
import { webhooksCommand } from './webhooks.ts';

/** Every command but the roles, in the order of the help. */
export const operatorCommands = (): readonly Command[] => [
  migrateCommand(),
  projectionsCommand(),
  jobsCommand(),
  eventsCommand(),
  signalCommand(),
  deliveriesCommand(),
  reconcileCommand(),
  webhooksCommand(),
  queuesCommand(),
  schedulesCommand(),
  apiKeysCommand(),
  archiveCommand(),
  mirrorCommand(),
  privacyCommand(),
  doctorCommand(),
];
