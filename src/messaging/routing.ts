import type { Destination, QueueDefinition, Topology } from './topology.ts';

/** The queues that take a message for `destination`. */
export function takersOf(topology: Topology, destination: Destination): readonly QueueDefinition[] {
  const { exchange, routingKey } = destination;
  return topology.queues.filter(({ name, bindings }) =>
    exchange === ''
      ? name === routingKey
      : bindings.some(
          (binding) => binding.exchange === exchange && matches(binding.routingKey, routingKey),
        ),
  );
}

/** Whether a topic pattern takes a routing key: `*` is one word, `#` is any number of words. */
export function matches(pattern: string, routingKey: string): boolean {
  return wordsMatch(pattern.split('.'), routingKey.split('.'));
}

function wordsMatch([first, ...rest]: readonly string[], words: readonly string[]): boolean {
  if (first === undefined) return words.length === 0;
  const [word, ...others] = words;
  if (first === '#') {
    return wordsMatch(rest, words) || (word !== undefined && wordsMatch([first, ...rest], others));
  }
  return word !== undefined && (first === '*' || first === word) && wordsMatch(rest, others);
}
