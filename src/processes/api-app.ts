import 'reflect-metadata';
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';

import type { DeliveryDesk, JobFinder, Operations, Planner } from '../ingress/graphql/ports.ts';
import { MutationsModule } from '../ingress/graphql/mutations.module.ts';
import type { Access } from '../platform/access.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { ConnectionCounter } from '../read/graphql/connection-counter.ts';
import { GRAPHQL_PATH, graphqlOverHttp } from '../read/graphql/graphql-api.module.ts';
import { schemaText } from '../read/graphql/schema-text.ts';
import { serveSse } from '../read/graphql/sse.ts';
import { serveWebSocket } from '../read/graphql/websocket.ts';
import type { ReadSide } from '../read/read-side.ts';
import { ReadModule } from '../read/read.module.ts';
import { WriteModule, type WriteOptions } from '../write/write.module.ts';
import { serveDashboard } from './dashboard.ts';

export type ApiParts = Readonly<{
  read: ReadSide;
  write: WriteOptions;
  planner: Planner;
  jobs: JobFinder;
  deliveries: DeliveryDesk;
  operations: Operations;
  access: Access;
  database: Queryable;
  logger: Logger;
}>;

@Module({})
class ApiModule {
  static register({
    read,
    write,
    planner,
    jobs,
    deliveries,
    operations,
    ...http
  }: ApiParts): DynamicModule {
    return {
      module: ApiModule,
      imports: [
        graphqlOverHttp(http),
        ReadModule.register(read),
        MutationsModule.register({
          write: WriteModule.register(write),
          planner,
          jobs,
          deliveries,
          operations,
        }),
      ],
    };
  }
}

const MAX_BODY_BYTES = 1024 * 1024;

/** The API and the dashboard, ready to listen. `close` tells the clients first: open sockets would hold it up. */
export async function createApi(
  parts: ApiParts,
): Promise<Readonly<{ app: NestFastifyApplication; close: () => Promise<void> }>> {
  const { access, database, logger } = parts;
  const app = await NestFactory.create<NestFastifyApplication>(
    ApiModule.register(parts),
    new FastifyAdapter({ bodyLimit: MAX_BODY_BYTES, forceCloseConnections: true }),
    { logger: false, abortOnError: false },
  );
  await app.init();
  const fastify = app.getHttpAdapter().getInstance();
  const { schema } = app.get(GraphQLSchemaHost);
  const connections = new ConnectionCounter();
  const live = { schema, access, database, logger, connections };
  const sockets = serveWebSocket(app.getHttpServer(), { ...live, path: GRAPHQL_PATH });
  serveSse(fastify, { ...live, path: `${GRAPHQL_PATH}/stream` });
  const sdl = schemaText();
  fastify.get(`${GRAPHQL_PATH}/schema`, (_request, reply) =>
    reply.type('text/plain; charset=utf-8').send(sdl),
  );
  serveDashboard(fastify);
  return {
    app,
    close: async () => {
      await sockets.close();
      await app.close();
    },
  };
}
