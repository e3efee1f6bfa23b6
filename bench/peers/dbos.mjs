import { DBOS } from '@dbos-inc/dbos-sdk';

/** Keeps workflows and their steps. Each caller awaits its own. */
export async function open({ databaseUrl, kind }) {
  const steps = kind === 'two-steps' ? 2 : 0;
  const workflow = DBOS.registerWorkflow(
    async () => {
      for (let step = 0; step < steps; step++) {
        await DBOS.runStep(async () => step, { name: `step-${step}` });
      }
    },
    { name: kind },
  );
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: databaseUrl,
    systemDatabasePoolSize: 20,
    logLevel: 'error',
  });
  await DBOS.launch();
  return {
    request: async () => {
      const handle = await DBOS.startWorkflow(workflow)();
      await handle.getResult();
    },
    completed: () => Promise.resolve(),
    close: () => DBOS.shutdown(),
  };
}
