import type { Trigger } from '../../events/trigger.ts';
import type { ReceivedDelivery } from '../door.ts';

/** Makes what names a person in a trigger unreadable for whoever has not its key. */
export type SealTrigger = (trigger: Trigger) => Promise<Trigger>;

/** The delivery with its triggers sealed, in its row and in what it asks for alike. Its body stays as it came. */
export async function sealDelivery(
  delivery: ReceivedDelivery,
  seal: SealTrigger,
): Promise<ReceivedDelivery> {
  const triggers = await Promise.all(delivery.triggers.map(seal));
  const jobs = delivery.jobs.map(({ trigger, planned }) => ({
    trigger: triggers[delivery.triggers.indexOf(trigger)] ?? trigger,
    planned,
  }));
  return { ...delivery, triggers, jobs };
}
