export type Measured = Readonly<{ what: string; value: number; unit: string }>;

/** What a benchmark may use: servers on this machine that nobody else uses during the run. */
export type Context = Readonly<{
  /** A fresh database with all migrations, on a Postgres with `fsync` on. */
  createDatabase: () => Promise<string>;
  /** A RabbitMQ of its own, started at the first call. */
  rabbitmqUrl: () => Promise<string>;
  /** The folder of pgbench and the other programs of Postgres. */
  postgresPrograms: string;
  /** Says on standard error how far it has come. */
  progress: (line: string) => void;
}>;

export type Benchmark = Readonly<{
  name: string;
  run: (context: Context) => Promise<readonly Measured[]>;
}>;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The value that a share of all stays below. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
