import { ConfigError } from '../platform/config.ts';
import type { Logger } from '../platform/logger.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import type { Hangups } from './hangups.ts';

type Reload = Readonly<{
  hangups: Hangups | null;
  /** Throws when the configuration has a mistake. */
  read: () => readonly WebhookSource[];
  use: (sources: readonly WebhookSource[]) => void;
  logger: Logger;
}>;

/**
 * Reads the sources again at each SIGHUP, until `stop`. The environment of a process stays as it is, so what changes is
 * the file that WEBHOOK_SOURCES names. With any mistake the old sources stay, all of them, and every mistake is logged.
 */
export function reloadAtHangup({
  hangups,
  read,
  use,
  logger,
}: Reload): Readonly<{ stop: () => void }> {
  const reload = (): void => {
    try {
      const sources = read();
      use(sources);
      logger.info(
        { sources: sources.map(({ name }) => name) },
        'the webhook sources were read again',
      );
    } catch (error) {
      for (const mistake of mistakesOf(error)) {
        logger.error({ mistake }, 'the webhook sources stay as they were: mend the configuration');
      }
    }
  };
  return hangups?.onEach(reload) ?? { stop: () => undefined };
}

function mistakesOf(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.mistakes;
  return [error instanceof Error ? error.message : String(error)];
}
