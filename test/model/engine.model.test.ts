import fc from 'fast-check';
import { expect, test } from 'vitest';

import { COMMANDS, OPENING, assertDispatched } from './commands.ts';
import { SimpleModel } from './simple-model.ts';
import { World } from './world.ts';

const RUNS = Number(process.env['RUNS'] ?? 2_000);
const HOUR_MS = 3_600_000;

/** Enough for the longest scripts behind one another in a line. */
const MAX_ROUNDS = 200;

test('whatever happens, and in whatever order: jobs do what the simple model lets them, and come to their end', async () => {
  await fc.assert(
    fc.asyncProperty(OPENING, COMMANDS, async (opening, commands) => {
      const model = new SimpleModel();
      const world = new World((step) => {
        model.begin(step);
      });
      const given = () => ({ model, real: world });
      await fc.asyncModelRun(given, opening);
      await fc.asyncModelRun(given, commands);
      await workUntilQuiet(model, world);
      assertEnded(model);
    }),
    // A failure is printed with its seed and the shortest way to it.
    { numRuns: RUNS, ...(process.env['SEED'] ? { seed: Number(process.env['SEED']) } : {}) },
  );
}, 600_000);

/** A dispatcher and a worker that are well, and time. */
async function workUntilQuiet(model: SimpleModel, world: World): Promise<void> {
  world.prompt = 'off';
  await world.lose(0, 'stall');
  await world.lose(1, 'stall');
  for (let round = 0, quiet = 0; quiet < 2; round++) {
    expect(round, 'rounds until nothing moves').toBeLessThan(MAX_ROUNDS);
    const before = await world.store.head();
    world.now += HOUR_MS;
    await world.dispatch();
    await model.follow(world);
    assertDispatched(model, world);
    expect(await world.tables.differences()).toEqual([]);
    for (const hint of world.hints.splice(0)) await world.deliver(hint, [0]);
    for (const step of world.pending.slice()) await world.end(step, null);
    await model.follow(world);
    quiet = (await world.store.head()) === before ? quiet + 1 : 0;
  }
}

/** What is still open waits for a signal that never comes, or for its turn behind one that does. */
function assertEnded(model: SimpleModel): void {
  for (const job of model.open) {
    const waits = job.status === 'PAUSED' && job.wait?.until === null;
    const isBehind = model.before(job).some(({ status }) => status === 'PAUSED');
    expect(waits || (isBehind && !model.hasTurn(job)), `${job.id} is ${job.status}`).toBe(true);
  }
}
