import type { ApolloServerPlugin } from '@apollo/server';

import { checkLimits } from './limits.ts';

/** Our limits on HTTP, where Apollo has checked the specification's rules. */
export const limitsPlugin: ApolloServerPlugin = {
  requestDidStart: () =>
    Promise.resolve({
      didResolveOperation: ({ schema, document, operationName, request }) => {
        const [error] = checkLimits({
          schema,
          document,
          operationName,
          variables: request.variables,
        });
        return error === undefined ? Promise.resolve() : Promise.reject(error);
      },
    }),
};

/**
 * A client that asked for `application/json` gets 200 for a request that GraphQL refused, as GraphQL over HTTP says
 * of that legacy type; Apollo answers 400.
 */
export const legacyStatusPlugin: ApolloServerPlugin = {
  requestDidStart: () =>
    Promise.resolve({
      willSendResponse: ({ response }) => {
        const { body, http } = response;
        const type = http.headers.get('content-type') ?? '';
        const refused = body.kind === 'single' && body.singleResult.data === undefined;
        if (refused && http.status === 400 && type.startsWith('application/json'))
          http.status = 200;
        return Promise.resolve();
      },
    }),
};
