// One contender in a process of its own: `node contend.mjs <name> <kind> <databaseUrl> <jobs>`. It says on standard
// output, as one line of JSON, how long it took from the first request to the last completion.
import { setTimeout } from 'node:timers/promises';

const CALLERS = 32;
const WARM_UP = 500;

const [name, kind, databaseUrl, count] = process.argv.slice(2);
const { open } = await import(`./${name}.mjs`);
const contender = await open({ databaseUrl, kind });

await complete(WARM_UP);
const cpu = process.cpuUsage();
const began = performance.now();
await complete(Number(count));
const ms = performance.now() - began;
const { user, system } = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    perSecond: (Number(count) * 1_000) / ms,
    cpuMicros: (user + system) / Number(count),
  }),
);
await Promise.race([contender.close(), setTimeout(5_000)]);
process.exit(0);

/** `queued`: requested as fast as the callers can, while they are worked off. `awaited`: each caller awaits its own. */
async function complete(jobs) {
  let left = jobs;
  const done = contender.completed(jobs);
  const caller = async () => {
    while (left-- > 0) await contender.request();
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  await done;
}
