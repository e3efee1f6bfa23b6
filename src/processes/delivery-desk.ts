import { DeliveryDesk } from '../ingress/graphql/ports.ts';
import { readAgain } from '../ingress/redelivery/read-again.ts';
import { carryOut, type Interpreter } from '../ingress/webhooks/interpreter.ts';
import type { Plan } from '../ingress/webhooks/plan-jobs.ts';
import type { Config } from '../platform/config.ts';
import type { Queryable } from '../platform/database.ts';
import type { DeliveryFilter } from '../read/deliveries.ts';
import { type RedeliverablePage, redeliverable } from '../read/redeliverable.ts';
import type { RereadDelivery, StoredDelivery } from '../write/door.ts';
import { localClones } from './local-clones.ts';

type Parts = Readonly<{
  config: Pick<Config, 'sources' | 'dataDir' | 'cloneAllow'>;
  plan: Plan;
  /** Reads large bodies beside the thread that answers; without it they are read on it. */
  interpreter?: Interpreter;
}>;

type Reread = (stored: StoredDelivery, withoutSource: boolean) => Promise<RereadDelivery>;

/** What a stored delivery asks for by the sources and the workflows that this process knows. */
export function rereader({ config, plan, interpreter }: Parts): Reread {
  const rules = {
    sources: config.sources,
    plan,
    localClones: localClones(config),
    interpret: (order: Parameters<typeof carryOut>[0]) =>
      interpreter?.interpret(order) ?? Promise.resolve(carryOut(order)),
  };
  return (stored, withoutSource) => readAgain(stored, { ...rules, withoutSource });
}

/** The deliveries of the log, as the API's mutations need them. */
export class LoggedDeliveries extends DeliveryDesk {
  private readonly reread: Reread;

  constructor(
    private readonly database: Queryable,
    parts: Parts,
  ) {
    super();
    this.reread = rereader(parts);
  }

  read(stored: StoredDelivery, withoutSource: boolean): Promise<RereadDelivery> {
    return this.reread(stored, withoutSource);
  }

  find(
    filter: DeliveryFilter,
    options: Readonly<{ onlyFailed: boolean; size: number; after: string | null }>,
  ): Promise<RedeliverablePage> {
    return redeliverable(this.database, { filter, ...options });
  }
}
