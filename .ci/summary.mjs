import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

// Prints what vitest's JSON report holds: what failed and what did not run by name, and the counts as the last line.
const [file] = process.argv.slice(2);
const { testResults } = JSON.parse(readFileSync(file, 'utf8'));

const tests = testResults.flatMap(({ name, assertionResults }) =>
  assertionResults.map(({ fullName, status }) => ({
    title: `${relative('.', name)}: ${fullName}`,
    status,
  })),
);
// A file that cannot even be loaded has no tests, and is a failure all the same.
const broken = testResults
  .filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
  .map(({ name }) => ({ title: relative('.', name), status: 'failed' }));
const all = [...tests, ...broken];

const having = (...statuses) => all.filter(({ status }) => statuses.includes(status));
const passed = having('passed');
const failed = having('failed');
const notRun = all.filter((test) => !passed.includes(test) && !failed.includes(test));

for (const { title } of failed) console.log(`failed: ${title}`);
for (const { title } of notRun) console.log(`did not run: ${title}`);
if (notRun.length > 0) console.log(`${notRun.length} did not run`);
console.log(`${passed.length} passed, ${failed.length} failed`);
if (failed.length > 0 || passed.length === 0) process.exitCode = 1;
