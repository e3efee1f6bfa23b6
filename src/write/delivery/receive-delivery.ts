import type { DeliveryReceipt, PlannedJob, ReceivedDelivery } from '../door.ts';
import { type PromptHints, isPrompt } from '../prompt-hints.ts';
import type { DeliveryLog } from './delivery-log.ts';
import { deliveryRows } from './delivery-rows.ts';

/** Stores deliveries, and tells workers at once of the jobs that they request. */
export class Deliveries {
  constructor(
    private readonly log: DeliveryLog,
    private readonly prompt: PromptHints | null = null,
  ) {}

  async receive(delivery: ReceivedDelivery): Promise<DeliveryReceipt> {
    const hinted = this.reserve(delivery);
    let told = false;
    try {
      const { row, events } = deliveryRows(await this.log.sealed(delivery), hinted);
      const receipt = await this.log.accept(row, events);
      if (receipt.status === 'new') {
        this.tell(receipt.jobs, delivery, hinted);
        told = true;
      }
      return receipt;
    } finally {
      if (!told) for (const _ of hinted) this.prompt?.giveBack();
    }
  }

  private reserve({ jobs }: ReceivedDelivery): ReadonlySet<PlannedJob> {
    const { prompt } = this;
    if (prompt === null) return NONE;
    return new Set(
      jobs.map(({ planned }) => planned).filter((planned) => isPrompt(planned) && prompt.reserve()),
    );
  }

  /** `stored`: the delivery's jobs, in their order. */
  private tell(
    stored: readonly Readonly<{ id: string; workflow: string }>[],
    { jobs }: ReceivedDelivery,
    hinted: ReadonlySet<PlannedJob>,
  ): void {
    for (const [index, { id: jobId, workflow }] of stored.entries()) {
      const planned = jobs[index]?.planned;
      if (planned === undefined || !hinted.has(planned)) continue;
      const { priority } = planned;
      this.prompt?.publish({ jobId, workflow, kind: 'new', priority, version: 1, position: null });
    }
  }
}

const NONE: ReadonlySet<PlannedJob> = new Set();
