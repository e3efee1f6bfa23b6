/** Pseudo-random numbers in [0, 1) that a seed repeats (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Random = Readonly<{
  /** A whole number from `min` to `max`. */
  int: (min: number, max: number) => number;
  pick: <T>(values: readonly T[]) => T;
}>;

/** Picks that a seed repeats. */
export function seeded(seed: number): Random {
  const next = randomOf(seed);
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return { int, pick: (values) => values[int(0, values.length - 1)] as (typeof values)[number] };
}

const ROUNDS = 50;

/** Runs 50 rounds; the seed (SEED repeats one) is printed, and named in the failure of a round. */
export async function rounds(
  name: string,
  round: (random: Random, number: number) => Promise<void>,
  count = ROUNDS,
): Promise<void> {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.info(`${name}: ${String(count)} rounds, SEED=${String(seed)}`);
  const random = seeded(seed);
  for (let number = 1; number <= count; number++) {
    try {
      await round(random, number);
    } catch (error) {
      throw new Error(`${name} failed in round ${String(number)} of SEED=${String(seed)}`, {
        cause: error,
      });
    }
  }
}
