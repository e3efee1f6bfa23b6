import 'reflect-metadata';
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

import { Body, Controller, Headers, HttpCode, Module, Post, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { type FastifyRequest, fastify } from 'fastify';
import { Pool } from 'pg';

// What one would write in an afternoon: check the signature over the raw body, insert the body as text, answer 202.

const { DATABASE_URL = '', SECRET = '', KIND = 'fastify' } = process.env;
const pool = new Pool({ connectionString: DATABASE_URL });

async function take(body: Buffer, signature: string | undefined): Promise<boolean> {
  const expected = Buffer.from(`sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`);
  const given = Buffer.from(signature ?? '');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
  await pool.query('insert into bench_peer (id, body) values ($1, $2)', [
    randomUUID(),
    body.toString(),
  ]);
  return true;
}

async function runFastify(): Promise<number> {
  const app = fastify({ bodyLimit: 26_214_400 });
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  app.post('/webhooks/github', async (request, reply) => {
    const signature = request.headers['x-hub-signature-256'] as string | undefined;
    if (await take(request.body as Buffer, signature)) return reply.code(202).send({ ok: true });
    return reply.code(401).send({ ok: false });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as { port: number }).port;
}

@Controller('webhooks')
class PeerController {
  @Post('github')
  @HttpCode(202)
  async receive(
    @Req() request: FastifyRequest & { rawBody?: Buffer },
    @Headers('x-hub-signature-256') signature: string,
    @Body() _body: unknown,
  ): Promise<{ ok: boolean }> {
    return { ok: await take(request.rawBody ?? Buffer.alloc(0), signature) };
  }
}

@Module({ controllers: [PeerController] })
class PeerModule {}

async function runNest(): Promise<number> {
  const app = await NestFactory.create<NestFastifyApplication>(
    PeerModule,
    new FastifyAdapter({ bodyLimit: 26_214_400 }),
    { rawBody: true, logger: false },
  );
  await app.listen(0, '127.0.0.1');
  return (app.getHttpServer().address() as { port: number }).port;
}

process.send?.({ port: await (KIND === 'nest' ? runNest() : runFastify()) });
