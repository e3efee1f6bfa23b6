import { GraphQLError } from 'graphql';

import { mayAct, type Role, type Viewer } from '../../platform/access.ts';

/** What a mutation needs of the request's context. */
export type MutationContext = Readonly<{ viewer: Viewer }>;

/** Throws unless the caller's key has at least this role; gives the caller's name, for the events' metadata. */
export function requireRole({ viewer }: MutationContext, role: Role): string {
  if (mayAct(viewer, role)) return viewer.name;
  throw new GraphQLError(
    `The key "${viewer.name}" has the role ${viewer.role}: this needs ${role}`,
    {
      extensions: { code: 'FORBIDDEN' },
    },
  );
}
