import type { SignalEvent } from './signal.ts';
import type { Trigger } from './trigger.ts';

/** What a command says, as the payload of its signal. */
export type GivenCommand = Readonly<{
  command: string;
  text: string;
  author: string | null;
  provider: string;
  source: string;
  repository: string;
  pullRequest: number;
  deliveryId: string;
}>;

/** The name of the signal that a command is, as `command.cancel`. */
export const commandSignal = (command: string): string => `command.${command}`;

/**
 * A command on a pull request is a signal too, so that jobs may wait for it; null for any other trigger. Its key is the
 * pull request: the source, the repository's full name and the number, with a space between them.
 */
export function signalOf(trigger: Trigger): SignalEvent['data'] | null {
  const { comment, repository, pullRequest, provider, source, deliveryId } = trigger;
  if (comment?.command === undefined || repository === null || pullRequest === null) return null;
  const { text, author, command } = comment;
  const payload: GivenCommand = {
    command,
    text,
    author,
    provider,
    source,
    repository: repository.fullName,
    pullRequest: pullRequest.number,
    deliveryId,
  };
  const key = `${source} ${repository.fullName} ${String(pullRequest.number)}`;
  return { event: commandSignal(command), key, payload };
}
