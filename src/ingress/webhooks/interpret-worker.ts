import { parentPort } from 'node:worker_threads';

import { type InterpretOrder, carryOut } from './interpreter.ts';

// The file that a worker thread runs: one order in, one interpretation out.
parentPort?.on('message', (order: InterpretOrder) => {
  parentPort?.postMessage(carryOut(order), []);
});
