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
 * Says that answers are not to be stored. Apollo's own plugin, in whose place this is, works that out anew at every
 * field of every answer.
 */
export const noStorePlugin: ApolloServerPlugin = {
  requestDidStart: () =>
    Promise.resolve({
      willSendResponse: ({ response }) => {
        response.http.headers.set('cache-control', 'no-store');
        return Promise.resolve();
      },
    }),
};

/**
 * A client that asked for `application/json` gets 200 for a request that GraphQL refused, as GraphQL over HTTP says
 * of that legacy type; Apollo answers 400.
 */
export const legacyStatusPlugin: ApolloServerPlugin = {
  requestDidStart: ({ request }) => {
    const accepted = request.http?.headers.get('accept') ?? '';
    const legacy =
      accepted.includes('application/json') && !accepted.includes('graphql-response+json');
    return Promise.resolve({
      willSendResponse: ({ response: { body, http } }) => {
        const refused = body.kind === 'single' && body.singleResult.data === undefined;
        if (legacy && refused && http.status === 400) http.status = 200;
        return Promise.resolve();
      },
    });
  },
};
