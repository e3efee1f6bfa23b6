/** Every exchange and queue of ours. A new one is a new line here; both transports follow this table. */
export type Topology = Readonly<{
  exchanges: readonly Readonly<{ name: string; type: 'topic' }>[];
  queues: readonly QueueDefinition[];
  /** Where the consumers of this topology put what they cannot handle. */
  deadLetters: Readonly<{ exchange: string; queue: string }>;
}>;

export type QueueDefinition = Readonly<{
  name: string;
  bindings: readonly Destination[];
  /**
   * How often a message is delivered again before it is dead. Fixed at the queue's creation; a policy can only lower it.
   * `retry` waits up to 5 s, so 100 is some eight minutes of failing without a pause.
   */
  deliveryLimit: number;
  /** Only one consumer at a time gets messages, so that they are handled in order; another takes over when it is gone. */
  singleActiveConsumer?: boolean;
}>;

export type Destination = Readonly<{ exchange: string; routingKey: string }>;

const EXCHANGES = {
  jobs: 'workflow.jobs',
  events: 'workflow.events',
  dead: 'workflow.dlx',
} as const;

export const QUEUES = {
  jobs: 'workflow.jobs.queue',
  resumedJobs: 'workflow.jobs.resumed',
  ast: 'workflow.events.ast',
  signals: 'workflow.events.signals',
  dead: 'workflow.dead',
  spool: 'ingress.spool',
} as const;

const FEW = 100;
/** For what must outlast any outage of Postgres, and for the dead letters, which are redelivered when a redrive fails. */
const MANY = 100_000;

export const TOPOLOGY: Topology = {
  exchanges: [
    { name: EXCHANGES.jobs, type: 'topic' },
    { name: EXCHANGES.events, type: 'topic' },
    { name: EXCHANGES.dead, type: 'topic' },
  ],
  queues: [
    {
      name: QUEUES.dead,
      bindings: [{ exchange: EXCHANGES.dead, routingKey: '#' }],
      deliveryLimit: MANY,
    },
    {
      name: QUEUES.jobs,
      bindings: [{ exchange: EXCHANGES.jobs, routingKey: 'new.#' }],
      deliveryLimit: FEW,
    },
    {
      name: QUEUES.resumedJobs,
      bindings: [{ exchange: EXCHANGES.jobs, routingKey: 'resumed.#' }],
      deliveryLimit: FEW,
    },
    {
      name: QUEUES.ast,
      bindings: [{ exchange: EXCHANGES.events, routingKey: 'request.ast' }],
      deliveryLimit: FEW,
    },
    {
      name: QUEUES.signals,
      bindings: [{ exchange: EXCHANGES.events, routingKey: 'signal.#' }],
      deliveryLimit: MANY,
    },
    { name: QUEUES.spool, bindings: [], deliveryLimit: MANY, singleActiveConsumer: true },
  ],
  deadLetters: { exchange: EXCHANGES.dead, queue: QUEUES.dead },
};

/**
 * Where the hint for a ready job goes. Hints of resumed jobs have a queue of their own, so that they do not wait behind
 * a burst of new ones. A pool with its own queue would get keys that begin with its name, which `new.#` does not match.
 */
export const jobHint = (workflow: string, kind: 'new' | 'resumed'): Destination => ({
  exchange: EXCHANGES.jobs,
  routingKey: `${kind}.${workflow}`,
});

/** Where an event of a job goes, for other systems. */
export const jobEvent = (type: string): Destination => ({
  exchange: EXCHANGES.events,
  routingKey: `job.${type}`,
});

/** Where the request of a paused job goes; whoever answers publishes a signal. */
export const waitRequest = (topic: string): Destination => ({
  exchange: EXCHANGES.events,
  routingKey: `request.${topic}`,
});

export const signal = (event: string): Destination => ({
  exchange: EXCHANGES.events,
  routingKey: `signal.${event}`,
});

/** The exchange without a name routes by the name of the queue, and needs no binding that could be missing. */
export const toQueue = (queue: string): Destination => ({ exchange: '', routingKey: queue });

/** Where ingress puts deliveries while Postgres is away. */
export const spool: Destination = toQueue(QUEUES.spool);
