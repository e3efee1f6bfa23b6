import type { Comment, Trigger } from '../../events/trigger.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';
import { leftOutBy } from './filters.ts';
import type { Fact } from './provider.ts';
import { login, text } from './sanitise.ts';

/** What is kept of a comment: a command stands in its first line. */
const LONGEST = 1024;

/** The comment of a fact; nothing where the payload has no text. `isMember`: left out where the host does not say. */
export function commentOf(
  body: unknown,
  author: unknown,
  isMember?: boolean,
): Readonly<{ comment?: Comment }> {
  const said = text(body, LONGEST);
  if (said === null) return {};
  const of = { text: said, author: login(author) };
  return { comment: isMember === undefined ? of : { ...of, isMember } };
}

const COMMAND = /^\/([a-z][a-z0-9-]{0,49})(?=\s|$)/;

/**
 * The trigger with the command that its comment gives, if whoever wrote it may give any: only a new comment does, and
 * only where the source's rules let the trigger start something.
 */
export function withCommand(trigger: Trigger, source: WebhookSource): Trigger {
  if (trigger.comment === undefined) return trigger;
  const { command: _, ...comment } = trigger.comment;
  const [, command] = COMMAND.exec(comment.text) ?? [];
  const isGiven =
    command !== undefined &&
    trigger.action === 'created' &&
    trigger.repository !== null &&
    mayCommand(trigger, comment, source) &&
    leftOutBy(trigger, source) === null;
  return { ...trigger, comment: isGiven ? { ...comment, command } : comment };
}

function mayCommand(
  { sender }: Trigger,
  { author, isMember }: Comment,
  { commandAuthors = [] }: WebhookSource,
): boolean {
  // Who sends it has written it, or it is not what it seems.
  if (author === null || author !== sender || author.endsWith('[bot]')) return false;
  const name = author.toLowerCase();
  return isMember === true || commandAuthors.some((each) => each.toLowerCase() === name);
}

/** Why a comment that looks like a command is none; null when there is nothing to explain. */
export function whyNoCommand(trigger: Pick<Fact, 'comment' | 'action'>): string | null {
  const { comment, action } = trigger;
  const [command] = comment === undefined ? [] : (COMMAND.exec(comment.text) ?? []);
  if (command === undefined || action !== 'created' || comment?.command !== undefined) return null;
  return `${comment?.author ?? 'Its author'} may not give the command ${command}: only members of the repository may, where the host says who is one, and the commandAuthors of the source`;
}
