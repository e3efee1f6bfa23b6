import { Inject } from '@nestjs/common';
import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';

import { DeliveryLog } from './delivery/delivery-log.ts';
import { deliveryRows } from './delivery/delivery-rows.ts';
import { Redeliveries } from './delivery/redeliveries.ts';
import {
  DecideJob,
  type DeliveryReceipt,
  type JobDecision,
  ReceiveDelivery,
  Redeliver,
  type Redelivery,
  SendSignal,
  type SignalReceipt,
} from './door.ts';
import { JobDecisions } from './job/decide-job.ts';
import { Signals } from './signal/send-signal.ts';

@CommandHandler(DecideJob)
export class DecideJobHandler implements ICommandHandler<DecideJob, JobDecision> {
  constructor(@Inject(JobDecisions) private readonly jobs: JobDecisions) {}

  execute(command: DecideJob): Promise<JobDecision> {
    return this.jobs.decide(command);
  }
}

@CommandHandler(SendSignal)
export class SendSignalHandler implements ICommandHandler<SendSignal, SignalReceipt> {
  constructor(@Inject(Signals) private readonly signals: Signals) {}

  execute(command: SendSignal): Promise<SignalReceipt> {
    return this.signals.send(command);
  }
}

@CommandHandler(ReceiveDelivery)
export class ReceiveDeliveryHandler implements ICommandHandler<ReceiveDelivery, DeliveryReceipt> {
  constructor(@Inject(DeliveryLog) private readonly log: DeliveryLog) {}

  async execute({ delivery }: ReceiveDelivery): Promise<DeliveryReceipt> {
    const { row, events } = deliveryRows(await this.log.sealed(delivery));
    return this.log.accept(row, events);
  }
}

@CommandHandler(Redeliver)
export class RedeliverHandler implements ICommandHandler<Redeliver, Redelivery> {
  constructor(@Inject(Redeliveries) private readonly deliveries: Redeliveries) {}

  execute(command: Redeliver): Promise<Redelivery> {
    return this.deliveries.redeliver(command);
  }
}
