import { ApolloServerPluginCacheControlDisabled } from '@apollo/server/plugin/disabled';
import { type ApolloDriverConfig, ApolloDriver } from '@nestjs/apollo';
import type { DynamicModule } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import type { FastifyRequest } from 'fastify';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';

import type { Access } from '../../platform/access.ts';
import type { Queryable } from '../../platform/database.ts';
import type { Logger } from '../../platform/logger.ts';
import { DateTime, JsonScalar, Position } from '../scalars.ts';
import { legacyStatusPlugin, limitsPlugin, noStorePlugin } from './apollo-plugins.ts';
import { type ApiContext, apiContext, refused } from './context.ts';
import { maskedError } from './faults.ts';
import { MAX_TOKENS } from './limits.ts';
import { schemaText } from './schema-text.ts';

export const GRAPHQL_PATH = '/graphql';

/**
 * The schema over HTTP. Nest's own subscriptions stay off: `serveWebSocket` and `serveSse` serve the same schema
 * under the same rules.
 */
export function graphqlOverHttp({
  access,
  database,
  logger,
}: Readonly<{ access: Access; database: Queryable; logger: Logger }>): DynamicModule {
  return GraphQLModule.forRoot<ApolloDriverConfig>({
    driver: ApolloDriver,
    path: GRAPHQL_PATH,
    typeDefs: schemaText(),
    resolvers: { DateTime, Position, JSON: JsonScalar },
    context: (request: FastifyRequest): ApiContext => {
      const viewer = access.identify(request.headers.authorization, request.ip);
      if (typeof viewer === 'string') throw refused(viewer);
      return apiContext(database, viewer);
    },
    plugins: [
      limitsPlugin,
      legacyStatusPlugin,
      noStorePlugin,
      ApolloServerPluginCacheControlDisabled(),
    ],
    parseOptions: { maxLexicalTokens: MAX_TOKENS },
    maxRecursiveSelections: true,
    introspection: true,
    csrfPrevention: true,
    playground: false,
    graphiql: false,
    autoTransformHttpErrors: false,
    includeStacktraceInErrorResponses: false,
    formatError: (formatted: GraphQLFormattedError, error: unknown) =>
      error instanceof GraphQLError ? masking(formatted, error, logger) : formatted,
  });
}

function masking(
  formatted: GraphQLFormattedError,
  error: GraphQLError,
  logger: Logger,
): GraphQLFormattedError {
  const shown = maskedError(error, logger);
  return shown === error ? formatted : shown.toJSON();
}
