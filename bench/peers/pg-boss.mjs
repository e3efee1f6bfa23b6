import PgBoss from 'pg-boss';

import { Completions } from './counting.mjs';

/** Keeps completed jobs, as rows that are archived later. */
export async function open({ databaseUrl }) {
  const completions = new Completions();
  const boss = new PgBoss({ connectionString: databaseUrl, max: 20 });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue('noop');
  // It polls: half a second is the shortest that it takes, and a large batch makes up for it. Completes a batch at once.
  for (let worker = 0; worker < 4; worker++) {
    await boss.work('noop', { batchSize: 500, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      setImmediate(() => jobs.forEach(() => completions.one()));
    });
  }
  return {
    request: () => boss.send('noop', { repository: 'octo/bench' }),
    completed: (jobs) => completions.after(jobs),
    close: () => boss.stop({ graceful: false }),
  };
}
