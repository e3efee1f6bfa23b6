import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

type Connections = Readonly<{ total: number; idle: number; waiting: number }>;

/** What a process tells about itself at `/metrics`: one object per process, given to whoever has something to tell. */
export class Metrics {
  readonly registry = new Registry();

  readonly deliveries = new Counter({
    name: 'jobledger_deliveries_total',
    help: 'Webhook deliveries by the source and by what became of them.',
    labelNames: ['source', 'outcome'] as const,
    registers: [this.registry],
  });

  readonly notAuthentic = new Counter({
    name: 'jobledger_not_authentic_total',
    help: 'Webhook deliveries that were not authentic, by the source and by the likeliest reason.',
    labelNames: ['source', 'hint'] as const,
    registers: [this.registry],
  });

  readonly ingressSeconds = new Histogram({
    name: 'jobledger_ingress_seconds',
    help: 'From the first byte of a webhook delivery to its answer.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });

  readonly appendSeconds = new Histogram({
    name: 'jobledger_append_seconds',
    help: 'One append to the log, with its wait for the lane.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers: [this.registry],
  });

  readonly jobs = new Counter({
    name: 'jobledger_jobs_total',
    help: 'Jobs that came into a status.',
    labelNames: ['workflow', 'status'] as const,
    registers: [this.registry],
  });

  readonly jobQueueSeconds = new Histogram({
    name: 'jobledger_job_queue_seconds',
    help: 'From the moment a job could run to the start of its attempt.',
    labelNames: ['workflow'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
    registers: [this.registry],
  });

  readonly jobRunSeconds = new Histogram({
    name: 'jobledger_job_run_seconds',
    help: 'One attempt of a job, from its start to its result, pause or failure.',
    labelNames: ['workflow'] as const,
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600],
    registers: [this.registry],
  });

  readonly runsLeftBehind = new Counter({
    name: 'jobledger_runs_left_behind_total',
    help: 'Runs that were over while their code ignored its signal and went on, in a slot that was given to others.',
    labelNames: ['workflow'] as const,
    registers: [this.registry],
  });

  readonly projectionLagEvents = new Gauge({
    name: 'jobledger_projection_lag_events',
    help: 'Events of the log that a projection has not folded yet.',
    labelNames: ['projection'] as const,
    registers: [this.registry],
  });

  readonly relayLagEvents = new Gauge({
    name: 'jobledger_relay_lag_events',
    help: 'Events of the log that have not been published to the broker yet.',
    registers: [this.registry],
  });

  readonly mirrorLagEvents = new Gauge({
    name: 'jobledger_mirror_lag_events',
    help: 'Events of the log that the mirror does not have yet; 0 without one.',
    registers: [this.registry],
  });

  readonly sourceSilenceSeconds = new Gauge({
    name: 'jobledger_source_silence_seconds',
    help: 'Since the last authentic delivery of a source. Told by the projector that leads.',
    labelNames: ['source'] as const,
    registers: [this.registry],
  });

  readonly sourceSilenceRatio = new Gauge({
    name: 'jobledger_source_silence_ratio',
    help: 'How many deliveries of the source usually come at this time of the week in a stretch as long as the silence: 10 and more is an alarm.',
    labelNames: ['source'] as const,
    registers: [this.registry],
  });

  readonly deliveriesRemoved = new Counter({
    name: 'jobledger_deliveries_removed_total',
    help: 'What retention has removed of the delivery log: bodies, and whole rows later.',
    labelNames: ['what'] as const,
    registers: [this.registry],
  });

  readonly reconciled = new Counter({
    name: 'jobledger_reconciled_total',
    help: 'What had not arrived: deliveries that a host was asked to send again, and jobs for heads that nobody had told of.',
    labelNames: ['source', 'what'] as const,
    registers: [this.registry],
  });

  readonly reconcileFailures = new Counter({
    name: 'jobledger_reconcile_failures_total',
    help: 'Requests to a host, to see what had not arrived, that it refused or did not answer.',
    labelNames: ['source'] as const,
    registers: [this.registry],
  });

  readonly subscriptions = new Gauge({
    name: 'jobledger_subscriptions',
    help: 'Subscriptions of the API that are open.',
    registers: [this.registry],
  });

  private readonly pools: (() => Connections)[] = [];

  private readonly poolConnections = new Gauge({
    name: 'jobledger_pool_connections',
    help: 'Pooled database connections, and the callers that wait for one.',
    labelNames: ['state'] as const,
    registers: [this.registry],
    collect: () => {
      this.collectPools();
    },
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Counts the connections of a pool in `jobledger_pool_connections` from now on. */
  watchPool(connections: () => Connections): void {
    this.pools.push(connections);
  }

  private collectPools(): void {
    const pools = this.pools.map((connections) => connections());
    const sum = (count: (pool: Connections) => number): number =>
      pools.reduce((all, pool) => all + count(pool), 0);
    this.poolConnections.set(
      { state: 'busy' },
      sum(({ total, idle }) => total - idle),
    );
    this.poolConnections.set(
      { state: 'idle' },
      sum(({ idle }) => idle),
    );
    this.poolConnections.set(
      { state: 'waiting' },
      sum(({ waiting }) => waiting),
    );
  }
}
