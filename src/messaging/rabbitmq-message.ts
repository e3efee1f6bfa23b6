import type { Message, Options } from 'amqplib';

import type { Parcel } from './parcel.ts';

/** Messages outlive a restart of the server; `sequence` tells them apart when one comes back. */
export function publishOptions(parcel: Parcel, sequence: string): Options.Publish {
  const { messageId, contentType, headers, mandatory, priority } = parcel;
  return {
    messageId,
    contentType,
    headers,
    mandatory,
    persistent: true,
    correlationId: sequence,
    timestamp: Math.floor(Date.now() / 1000),
    ...(priority === undefined ? {} : { priority }),
  };
}

/** Other systems may leave out any property. */
export function parcelOf({ content, fields, properties }: Message): Parcel {
  const { headers } = properties;
  const messageId: unknown = properties.messageId;
  const contentType: unknown = properties.contentType;
  const priority: unknown = properties.priority;
  return {
    exchange: fields.exchange,
    routingKey: fields.routingKey,
    messageId: typeof messageId === 'string' ? messageId : '',
    content,
    contentType: typeof contentType === 'string' ? contentType : '',
    headers: headers ?? {},
    mandatory: false,
    priority: typeof priority === 'number' ? priority : undefined,
  };
}
