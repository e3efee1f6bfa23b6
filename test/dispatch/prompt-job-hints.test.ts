import { setTimeout } from 'node:timers/promises';

import { describe, expect, test } from 'vitest';

import { PromptJobHints } from '../../src/dispatch/prompt-job-hints.ts';
import type { OutgoingMessage } from '../../src/messaging/transport.ts';
import { silent } from './support.ts';

/** A broker whose queue of jobs is as full as the test says. */
class Broker {
  readonly published: OutgoingMessage[] = [];
  ready = true;
  standing = 0;
  asked = 0;

  publish(message: OutgoingMessage): Promise<void> {
    this.published.push(message);
    return Promise.resolve();
  }

  isReady(): boolean {
    return this.ready;
  }

  depth(): Promise<number> {
    this.asked++;
    return Promise.resolve(this.standing);
  }
}

const setup = () => {
  const transport = new Broker();
  return { transport, hints: new PromptJobHints({ transport, logger: silent }) };
};

/** How many jobs it would tell of in a row. */
function reserved(hints: PromptJobHints): number {
  let count = 0;
  while (hints.reserve()) count++;
  return count;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('prompt hints', () => {
  test('look like those of the dispatcher', () => {
    const { transport, hints } = setup();
    hints.publish({
      jobId: 'j',
      workflow: 'review',
      kind: 'resumed',
      priority: 3,
      version: 4,
      position: 9n,
    });
    expect(transport.published).toEqual([
      {
        exchange: 'workflow.jobs',
        routingKey: 'resumed.review',
        messageId: 'j:4',
        body: { jobId: 'j', position: '9', version: 4 },
        mandatory: true,
        priority: 3,
      },
    ]);
  });

  test('are few at a time, until the queue is seen to be short', async () => {
    const { transport, hints } = setup();
    expect(reserved(hints)).toBe(32);
    await turn();
    expect(reserved(hints)).toBe(32);
    expect(transport.asked).toBe(1);
  });

  test('leave a queue that is full to the dispatcher', async () => {
    const { transport, hints } = setup();
    transport.standing = 1_000;
    reserved(hints);
    await turn();
    expect(hints.reserve()).toBe(false);
  });

  test('do not look again and again how full a full queue is', async () => {
    const { transport, hints } = setup();
    transport.standing = 1_000;
    for (let look = 0; look < 20; look++) {
      reserved(hints);
      await setTimeout(2);
    }
    expect(transport.asked).toBe(1);
  });

  test('are not promised while the broker is away', () => {
    const { transport, hints } = setup();
    transport.ready = false;
    expect(hints.reserve()).toBe(false);
  });

  test('that are refused disturb nobody', async () => {
    const { transport, hints } = setup();
    const refusal = Promise.reject(new Error('refused'));
    transport.publish = () => refusal;
    hints.publish({
      jobId: 'j',
      workflow: 'w',
      kind: 'new',
      priority: 5,
      version: 1,
      position: null,
    });
    // A rejection that nobody handled would end the run.
    await expect(refusal).rejects.toThrow('refused');
    await turn();
  });
});
