import { type Random, seeded } from '../event-store/seeded.ts';

/** The processes of a run; each comes back when it ends. */
export const SLOTS = [
  'ingress',
  'api',
  'worker-1',
  'worker-2',
  'projector-1',
  'projector-2',
] as const;
export type Slot = (typeof SLOTS)[number];
export type Server = 'postgres' | 'rabbitmq';

export type Fault =
  | Readonly<{ kind: 'kill'; slot: Slot }>
  /** The process stands still, as a machine does that swaps or is moved. */
  | Readonly<{ kind: 'freeze'; slot: Slot; forMs: number }>
  /** Its connections to a server break. */
  | Readonly<{ kind: 'cut'; slot: Slot; server: Server }>
  /** Nothing gets through between the two, and nobody is told. */
  | Readonly<{ kind: 'partition'; slot: Slot; server: Server; forMs: number }>
  | Readonly<{ kind: 'kill-server'; server: Server; downMs: number }>
  /** RabbitMQ is killed, and comes back with nothing that it had. */
  | Readonly<{ kind: 'wipe'; server: 'rabbitmq'; downMs: number }>;

export type PlannedFault = Readonly<{ atMs: number; fault: Fault }>;

export const WORKFLOWS = [
  'two-steps',
  'signalled',
  'newest',
  'in-line',
  'flaky',
  'sleeper',
] as const;
export type WorkflowName = (typeof WORKFLOWS)[number];

/** One webhook, and what is done with its job. */
export type PlannedDelivery = Readonly<{
  atMs: number;
  id: string;
  workflow: WorkflowName;
  /** What its steps do follows from it. */
  sha: string;
  /** Jobs of the workflows with a key stand in one line per branch. */
  branch: string;
  /** Sent so often at once, as by a host that is out of patience. */
  copies: 1 | 2;
  cancelAfterMs: number | null;
  signalAfterMs: number | null;
}>;

const FAULT_EVERY_MS = 2_000;

/**
 * What breaks when: each process, Postgres and some of everything else, then more at random; and, evenly, RabbitMQ, which
 * takes long to come back, so that there is time with it in between.
 */
export function planFaults({
  seed,
  seconds,
  leaseMs,
}: Readonly<{ seed: number; seconds: number; leaseMs: number }>): readonly PlannedFault[] {
  const random = seeded(seed);
  const draw = draws(random, leaseMs);
  const faults: Fault[] = [
    ...SLOTS.map((slot): Fault => ({ kind: 'kill', slot })),
    draw.killServer('postgres'),
    draw.cut(),
    draw.cut(),
    draw.partition(),
    draw.freeze(),
  ];
  const wanted = Math.floor((seconds * 1_000) / FAULT_EVERY_MS);
  while (faults.length < wanted) faults.push(random.pick(draw.weighted)());
  const brokerFaults = 1 + Math.floor(seconds / 60);
  const wiped = random.int(1, brokerFaults);
  const planned = [
    ...spread(shuffled(faults, random), seconds, random),
    ...spread(
      Array.from({ length: brokerFaults }, (_, index) =>
        index + 1 === wiped ? draw.wipe() : draw.killServer('rabbitmq'),
      ),
      seconds,
      random,
    ),
  ];
  return planned.toSorted((one, other) => one.atMs - other.atMs);
}

/** One after the other over the whole time. */
function spread(
  faults: readonly Fault[],
  seconds: number,
  { int }: Random,
): readonly PlannedFault[] {
  const everyMs = (seconds * 1_000) / faults.length;
  return faults.map((fault, index) => ({
    atMs: Math.round((index + int(25, 75) / 100) * everyMs),
    fault,
  }));
}

function draws(random: Random, leaseMs: number) {
  const kill = (): Fault => ({ kind: 'kill', slot: random.pick(SLOTS) });
  const freeze = (): Fault => ({
    kind: 'freeze',
    slot: random.pick(SLOTS.filter((slot) => slot !== 'ingress' && slot !== 'api')),
    forMs: random.int(leaseMs / 2, leaseMs * 3),
  });
  const link = (): Readonly<{ slot: Slot; server: Server }> => {
    const slot = random.pick(SLOTS);
    return { slot, server: slot === 'ingress' ? 'postgres' : random.pick(SERVERS) };
  };
  const cut = (): Fault => ({ kind: 'cut', ...link() });
  const partition = (): Fault => ({
    kind: 'partition',
    ...link(),
    forMs: random.int(leaseMs / 2, leaseMs * 3),
  });
  const killServer = (server: Server): Fault => ({
    kind: 'kill-server',
    server,
    downMs: random.int(200, 3_000),
  });
  const wipe = (): Fault => ({
    kind: 'wipe',
    server: 'rabbitmq',
    downMs: random.int(200, 2_000),
  });
  const kills = Array.from({ length: 8 }, () => kill);
  const cuts = Array.from({ length: 4 }, () => cut);
  const weighted: readonly (() => Fault)[] = [
    ...kills,
    ...cuts,
    partition,
    partition,
    freeze,
    freeze,
    () => killServer('postgres'),
  ];
  return { freeze, cut, partition, killServer, wipe, weighted };
}

const SERVERS = ['postgres', 'rabbitmq'] as const;

/** A few deliveries a second, of all workflows in turn. */
export function planDeliveries({
  seed,
  seconds,
  perSecond,
}: Readonly<{ seed: number; seconds: number; perSecond: number }>): readonly PlannedDelivery[] {
  const random = seeded(seed + 1);
  const count = Math.floor(seconds * perSecond);
  return Array.from({ length: count }, (_, index) => {
    const workflow = WORKFLOWS[index % WORKFLOWS.length] as WorkflowName;
    return {
      atMs: Math.round(((index + random.int(0, 100) / 100) * 1_000) / perSecond),
      id: uuid(random),
      workflow,
      sha: hex(random, 40),
      branch: `branch-${String(random.int(1, 2))}`,
      copies: random.int(1, 5) === 1 ? 2 : 1,
      cancelAfterMs: random.int(1, 8) === 1 ? random.int(0, 2_500) : null,
      signalAfterMs: workflow === 'signalled' ? random.int(0, 3_000) : null,
    };
  });
}

/** Whether the job of a flaky workflow fails for good in the end. */
export const isDoomed = (sha: string): boolean => Number.parseInt(sha.slice(2, 6), 16) % 7 === 0;

function shuffled<T>(values: readonly T[], { int }: Random): readonly T[] {
  const mixed = [...values];
  for (let index = mixed.length - 1; index > 0; index--) {
    const other = int(0, index);
    [mixed[index], mixed[other]] = [mixed[other] as T, mixed[index] as T];
  }
  return mixed;
}

const hex = ({ int }: Random, digits: number): string =>
  Array.from({ length: digits }, () => int(0, 15).toString(16)).join('');

const uuid = (random: Random): string =>
  [
    hex(random, 8),
    hex(random, 4),
    `4${hex(random, 3)}`,
    `8${hex(random, 3)}`,
    hex(random, 12),
  ].join('-');

/** The plan's line of a fault, the same for each run of a seed. */
export const describeFault = (fault: Fault): string =>
  // TypeScript cannot see that `LINES[fault.kind]` takes exactly `fault`; the type of `LINES` guarantees it.
  (LINES[fault.kind] as (fault: Fault) => string)(fault);

const LINES: {
  readonly [Kind in Fault['kind']]: (fault: Extract<Fault, { kind: Kind }>) => string;
} = {
  kill: ({ slot }) => `kill -9 ${slot}`,
  freeze: ({ slot, forMs }) => `freeze ${slot} for ${String(forMs)} ms`,
  cut: ({ slot, server }) => `cut ${slot} from ${server}`,
  partition: ({ slot, server, forMs }) =>
    `silence between ${slot} and ${server} for ${String(forMs)} ms`,
  'kill-server': ({ server, downMs }) => `kill -9 ${server}, back after ${String(downMs)} ms`,
  wipe: ({ server, downMs }) => `wipe ${server}, back after ${String(downMs)} ms`,
};
