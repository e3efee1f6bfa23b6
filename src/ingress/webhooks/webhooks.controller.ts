import { Controller, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { WebhookEndpoint } from './webhook-endpoint.ts';

@Controller('webhooks')
export class WebhooksController {
  constructor(@Inject(WebhookEndpoint) private readonly endpoint: WebhookEndpoint) {}

  @Post(':source')
  async receive(
    @Param('source') source: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    // The endpoint reads the raw stream and may answer before it has ended, which Fastify cannot.
    reply.hijack();
    await this.endpoint.handle(source, request.raw, reply.raw);
  }
}
