import type { NewEvent } from '../event-store/event-store.ts';
import type { Metadata } from '../events/event.ts';
import type { Trigger } from '../events/trigger.ts';
import { isSealed } from './sealed-text.ts';
import type { Vault } from './vault.ts';

/** Programs that act for themselves. */
const PROGRAMS: ReadonlySet<string> = new Set(['cli', 'dispatcher', 'reconciler']);

/** Workers say who they are in these; everything else is done by people, or by a program for them. */
const OF_PEOPLE: ReadonlySet<string> = new Set([
  'JobRequested',
  'JobCancelled',
  'JobRetryRequested',
  'JobResumed',
  'SignalReceived',
]);

/** Seals what names the sender and the author of a comment: their logins, what they wrote, and texts with a login in them. */
export async function sealTrigger(vault: Vault, trigger: Trigger): Promise<Trigger> {
  const { sender, comment, pullRequest } = trigger;
  const author = comment?.author ?? null;
  const names = [sender, author].flatMap((name) =>
    name === null || name === '' || isSealed(name) ? [] : [name],
  );
  if (names.length === 0) return trigger;
  const sealed: Partial<Trigger> = {
    sender: await sealName(vault, sender),
    ...(pullRequest && { pullRequest: await sealMentions(vault, pullRequest, names) }),
  };
  if (!comment || author === null) return { ...trigger, ...sealed };
  const text = isSealed(comment.text) ? comment.text : await vault.seal(author, comment.text);
  return {
    ...trigger,
    ...sealed,
    comment: { ...comment, author: await sealName(vault, author), text },
  };
}

async function sealName(vault: Vault, name: string | null): Promise<string | null> {
  return name === null || name === '' || isSealed(name) ? name : vault.seal(name);
}

async function sealMentions<T extends object>(
  vault: Vault,
  value: T,
  names: readonly string[],
): Promise<T> {
  const entries: [string, unknown][] = [];
  for (const [field, each] of Object.entries(value)) {
    const name = typeof each === 'string' ? mentioned(each, names) : undefined;
    entries.push([field, name === undefined ? each : await vault.seal(name, each as string)]);
  }
  return Object.fromEntries(entries) as T;
}

const mentioned = (text: string, names: readonly string[]): string | undefined =>
  isSealed(text)
    ? undefined
    : names.find((name) => text.toLowerCase().includes(name.toLowerCase()));

/** Seals the names in an event on its way into the log. */
export async function sealEvent(vault: Vault, event: NewEvent): Promise<NewEvent> {
  if (!OF_PEOPLE.has(event.type)) return event;
  const metadata = event.metadata && (await sealActor(vault, event.metadata));
  const sealed = metadata ? { ...event, metadata } : event;
  if (event.type !== 'JobRequested') return sealed;
  const { trigger } = event.data as Readonly<{ trigger: Trigger }>;
  const data = { ...(event.data as object), trigger: await sealTrigger(vault, trigger) };
  return { ...sealed, data };
}

/** `github:alice` is alice, through GitHub. */
async function sealActor(vault: Vault, metadata: Metadata): Promise<Metadata> {
  const { actor } = metadata;
  if (actor === undefined || PROGRAMS.has(actor) || actor.includes('sealed:')) return metadata;
  const name = actor.slice(actor.indexOf(':') + 1);
  return name === '' ? metadata : { ...metadata, actor: await vault.seal(name, actor) };
}
