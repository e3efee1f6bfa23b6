import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { defineWorkflow } from '../../src/sdk/index.ts';
import { SECRET, type Service, startService } from '../support/service.ts';
import { deliver, push } from '../support/webhooks.ts';

const waiting = defineWorkflow({
  name: 'waiting',
  run: async ({ step, waitForEvent, approval }) => {
    await step('first', () => ({ n: 1 }));
    await waitForEvent('go');
    await approval('publish', { approvers: ['local'] });
    return { findings: [{ file: 'a.ts', line: 3, rule: 'no-x', message: '<b>not markup</b>' }] };
  },
});

const ARGUMENTS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

let service: Service;
let browser: Browser;
let page: Page;
const faults: string[] = [];

beforeAll(async () => {
  service = await startService({ workflows: [waiting] });
  browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ARGUMENTS.split(' '),
  });
  page = await browser.newPage();
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
});
afterAll(async () => {
  await browser.close();
  await service.stop();
});

test('an empty list says how to make a job; a job appears, pauses, and is resumed and approved from the page, all live', async () => {
  await page.goto(service.api);
  await page.getByText('No jobs here.').waitFor();

  const response = await deliver(service.ingress, push('octo/live'), { secret: SECRET });
  expect(response.status).toBe(202);
  await page
    .getByRole('row', { name: /octo\/live/ })
    .getByText('paused')
    .waitFor();

  await page.getByRole('link', { name: 'waiting' }).click();
  await page.getByText('JobPaused').waitFor();
  page.once('dialog', (dialog) => void dialog.accept());
  await page.getByRole('button', { name: 'Resume by hand' }).click();
  await page.getByText('approval.publish of local').waitFor();
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('heading', { name: /completed/ }).waitFor();
  await page.getByRole('cell', { name: '<b>not markup</b>', exact: true }).waitFor();
  expect(await page.getByText('JobCompleted').count()).toBe(1);
});

test('a filter is in the address, so it can be shared', async () => {
  await page.goto(`${service.api}/#/jobs?status=FAILED`);
  await page.getByText('No jobs here.').waitFor();
  await page.getByLabel('Status').selectOption('COMPLETED');
  await page.getByRole('row', { name: /octo\/live/ }).waitFor();
  expect(page.url()).toContain('status=COMPLETED');
});

test('deliveries and the system are shown, and nothing failed in the page', async () => {
  await page.goto(`${service.api}/#/deliveries`);
  await page.getByRole('cell', { name: 'accepted' }).waitFor();
  await page.goto(`${service.api}/#/system`);
  await page.getByRole('cell', { name: 'workflow.jobs.queue' }).waitFor();
  expect(faults).toEqual([]);
});
