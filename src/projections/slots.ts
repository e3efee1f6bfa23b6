import type { Recorded } from '../events/event.ts';
import type { Database } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { CheckpointLost, moveCheckpoint } from '../event-store/checkpoint.ts';
import type { Reader, Slot } from './reader.ts';

/** The name of a slot's checkpoint in `log.followers`: there while the generation is filled, gone when it is full. */
const slotName = (follower: string, { index, of }: Slot): string =>
  `${follower}/${String(index)}of${String(of)}`;

export function slotNames(follower: string, of: number): readonly string[] {
  return Array.from({ length: of }, (_, index) => slotName(follower, { index, of }));
}

export function parseSlotName(name: string): Slot {
  const [, index, of] = /\/(\d+)of(\d+)$/.exec(name) ?? [];
  return { index: Number(index), of: Number(of) };
}

/** All events of a stream are in the same slot, for as long as there are slots. FNV-1a. */
function slotOf(streamId: string, of: number): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < streamId.length; at++) {
    hash = Math.imul(hash ^ streamId.charCodeAt(at), 0x01000193);
  }
  return (hash >>> 0) % of;
}

/** What of a page is for a reader to fold. */
export function shareOf<E extends Recorded>(
  { slot }: Pick<Reader, 'slot'>,
  page: readonly E[],
): readonly E[] {
  return slot === null
    ? page
    : page.filter(({ streamId }) => slotOf(streamId, slot.of) === slot.index);
}

/** Makes one reader of a full generation again, where all of its slots have come to. */
export async function joinSlots(database: Database, reader: Reader): Promise<void> {
  const { name, epoch, position: from, slots } = reader;
  const [first] = slots;
  if (!first) return;
  const to = first.position;
  await database.transaction(async (transaction) => {
    await moveCheckpoint(transaction, { name, epoch, from, to });
    const joined = await transaction.query(sql`
      delete from log.followers
      where name = any (${slots.map((slot) => slot.name)}) and position = ${String(to)} returning 1`);
    if (joined.length !== slots.length) {
      throw new CheckpointLost(`The slots of ${name} do not all stand at ${String(to)}`);
    }
  });
  reader.position = to;
  reader.slots = [];
}
