import { Cron } from 'croner';

export type CronTimes = Readonly<{ cron: string; timeZone: string }>;

/**
 * The first time after `at`; null when none will come. A time that the clock of the zone leaves out in spring comes
 * when it has jumped; one that it shows twice in autumn comes the first time. What repeats within a day goes on evenly.
 */
export const nextTime = ({ cron, timeZone }: CronTimes, at: Date): Date | null =>
  new Cron(cron, { timezone: timeZone }).nextRun(at);

/** The last time that is not after `at`; null when there was none. */
export const latestTime = ({ cron, timeZone }: CronTimes, at: Date): Date | null =>
  new Cron(cron, { timezone: timeZone }).previousRuns(1, new Date(at.getTime() + 1))[0] ?? null;
