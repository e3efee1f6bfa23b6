import { Logger, makeWorkerUtils, run } from 'graphile-worker';

import { Completions } from './counting.mjs';

/** Its job rows are deleted as each completes: there is no history. */
export async function open({ databaseUrl }) {
  const completions = new Completions();
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ connectionString: databaseUrl, maxPoolSize: 10, logger });
  await utils.migrate();
  const runner = await run({
    connectionString: databaseUrl,
    concurrency: 32,
    maxPoolSize: 20,
    noHandleSignals: true,
    logger,
    taskList: {
      noop: () => {},
    },
  });
  runner.events.on('job:complete', () => completions.one());
  return {
    request: () => utils.addJob('noop', { repository: 'octo/bench' }),
    completed: (jobs) => completions.after(jobs),
    close: async () => {
      await runner.stop();
      await utils.release();
    },
  };
}
