import { describe, expect, test } from 'vitest';

import { ClaimUncertain, claimJob, giveBack } from '../../src/workers/claim-job.ts';
import type { Door } from '../../src/write/door.ts';
import { cancel, retry } from '../support/jobs.ts';
import { engine, gate, never, silent } from './engine.ts';

const as = (door: Door) => ({ door, logger: silent, workerId: 'w1' });

/** A door whose answers are lost as long as `broken` says so; what was asked is done. */
function lossy(door: Door) {
  const state = { broken: true, asked: gate() };
  const execute = async (command: never): Promise<unknown> => {
    const answer: unknown = await door.execute(command);
    state.asked.open();
    if (state.broken) throw new Error('connection lost');
    return answer;
  };
  return { state, door: { execute } as unknown as Door };
}

describe('a claim', () => {
  test('of many on one job is one', async () => {
    const { request, door, types } = engine();
    const jobId = await request();
    const claims = await Promise.all(
      Array.from({ length: 20 }, () => claimJob(jobId, as(door), never())),
    );
    expect(claims.filter((claim) => typeof claim !== 'string')).toHaveLength(1);
    expect(claims.filter((claim) => claim === 'job-already-running')).toHaveLength(19);
    expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted']);
  });

  test('says why there is nothing to take', async () => {
    const { request, door, execute } = engine();
    expect(await claimJob('unknown', as(door), never())).toBe('job-not-found');
    const jobId = await request();
    await execute(jobId, { ...cancel, at: new Date() });
    expect(await claimJob(jobId, as(door), never())).toBe('job-finished');
  });

  test('by an old hint takes nothing, as the turn of the job may be over', async () => {
    const { request, door, execute, types } = engine();
    const jobId = await request();
    await execute(jobId, { ...cancel, at: new Date() });
    await execute(jobId, { ...retry(), at: new Date() });
    expect(await claimJob(jobId, { ...as(door), jobVersion: 1 }, never())).toBe('version-conflict');
    expect(await types(jobId)).toEqual(['JobRequested', 'JobCancelled', 'JobRetryRequested']);
    expect(await claimJob(jobId, { ...as(door), jobVersion: 3 }, never())).toMatchObject({ jobId });
  });

  test('that was stored and not answered is found to be ours, though the job has moved on with it', async () => {
    const { request, door } = engine();
    const jobId = await request();
    const { state, door: losing } = lossy(door);
    const claiming = claimJob(jobId, { ...as(losing), jobVersion: 1 }, never());
    await state.asked.opened;
    state.broken = false;
    expect(await claiming).toMatchObject({ jobId, workerId: 'w1' });
  });

  test('that was stored and not answered is found to be ours', async () => {
    const { request, door, types } = engine();
    const jobId = await request();
    const { state, door: losing } = lossy(door);
    const claiming = claimJob(jobId, as(losing), never());
    await state.asked.opened;
    state.broken = false;
    const claim = await claiming;
    expect(claim).toMatchObject({ jobId, workerId: 'w1' });
    expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted']);
  });

  test('that stays without an answer names the run that may have begun', async () => {
    const { request, door, last } = engine();
    const jobId = await request();
    const { state, door: losing } = lossy(door);
    const stop = new AbortController();
    const claiming = claimJob(jobId, as(losing), stop.signal);
    await state.asked.opened;
    stop.abort();
    const { runId } = (await last(jobId, 'JobStarted')).data;
    await expect(claiming).rejects.toThrow(ClaimUncertain);
    await expect(claiming).rejects.toMatchObject({ jobId, runId });
  });

  test('does not wait for a log that hangs when its lease is over', async () => {
    const stop = new AbortController();
    const hanging = { execute: () => new Promise(() => {}) } as unknown as Door;
    const claiming = claimJob('job-1', as(hanging), stop.signal);
    stop.abort();
    await expect(claiming).rejects.toThrow(ClaimUncertain);
  });
});

describe('giving back', () => {
  test('frees a job whose claim was stored', async () => {
    const { request, door, last } = engine();
    const jobId = await request();
    const claim = await claimJob(jobId, as(door), never());
    if (typeof claim === 'string') throw new Error(claim);
    const { state, door: losing } = lossy(door);
    const given = giveBack(claim, as(losing), never());
    await state.asked.opened;
    state.broken = false;
    await given;
    expect((await last(jobId, 'JobInterrupted')).data).toMatchObject({ reason: 'released' });
    expect(await claimJob(jobId, as(door), never())).toMatchObject({ jobId });
  });

  test('ends when the run has never begun, or the job is not ours any more', async () => {
    const { request, door, types } = engine();
    const jobId = await request();
    await giveBack({ jobId, runId: 'never stored' }, as(door), never());
    await claimJob(jobId, as(door), never());
    await giveBack({ jobId, runId: 'an older run' }, as(door), never());
    expect(await types(jobId)).toEqual(['JobRequested', 'JobStarted']);
  });

  test('ends with its worker', async () => {
    const stop = new AbortController();
    const away = { execute: () => Promise.reject(new Error('refused')) } as unknown as Door;
    const given = giveBack({ jobId: 'job-1', runId: 'r1' }, as(away), stop.signal);
    stop.abort();
    await expect(given).resolves.toBeUndefined();
  });
});
