import { Inject } from '@nestjs/common';
import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';

import { Deliveries } from './delivery/receive-delivery.ts';
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
  constructor(@Inject(Deliveries) private readonly deliveries: Deliveries) {}

  execute({ delivery }: ReceiveDelivery): Promise<DeliveryReceipt> {
    return this.deliveries.receive(delivery);
  }
}

@CommandHandler(Redeliver)
export class RedeliverHandler implements ICommandHandler<Redeliver, Redelivery> {
  constructor(@Inject(Redeliveries) private readonly deliveries: Redeliveries) {}

  execute(command: Redeliver): Promise<Redelivery> {
    return this.deliveries.redeliver(command);
  }
}
