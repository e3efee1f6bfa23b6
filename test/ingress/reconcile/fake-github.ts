import { type HostServer, serve } from '../../workflows/reporting/support/fake-host.ts';
import { TOKEN } from './support.ts';

type Sent = { id: string; guid: string; at: Date; status?: number; event?: string };

/** GitHub's API of hooks and their deliveries, as it is documented, with ids that no number of JavaScript holds. */
export async function fakeGithub(
  given: {
    sent?: Sent[];
    ofOrganisation?: boolean;
    url?: string;
    isHidden?: boolean;
    pulls?: object[];
    /** Sends the delivery again, as GitHub does. */
    onRedeliver?: (id: string) => void;
  } = {},
) {
  const sent = given.sent ?? [];
  const redelivered: string[] = [];
  const hook = {
    id: 7,
    active: true,
    config: { url: given.url ?? 'https://hooks.example.com/webhooks/shop', secret: '********' },
  };
  const others = [
    { id: 8, active: true, config: { url: 'https://ci.example.com/hook' } },
    { id: 9, active: false, config: { url: 'https://old.example.com/webhooks/shop' } },
  ];
  const hooks = given.ofOrganisation ? others : [hook, ...others];
  const folder = given.ofOrganisation ? '/orgs/acme' : '/repos/acme/shop';
  const hidden = { status: 404, body: { message: 'Not Found' } };
  const pageSize = 2;
  const server: HostServer = await serve(
    '',
    ({ authorization }) => authorization === `Bearer ${TOKEN}`,
    [
      [
        'GET',
        '/repos/acme/shop/hooks',
        () => (given.isHidden ? hidden : { status: 200, body: hooks }),
      ],
      [
        'GET',
        '/orgs/acme/hooks',
        () => (given.ofOrganisation ? { status: 200, body: [hook] } : hidden),
      ],
      [
        'GET',
        `${folder}/hooks/7/deliveries`,
        (_, { query }) => {
          const from = Number(query.get('cursor')?.slice('v1_'.length) ?? 0);
          const page = sent.slice(from, from + pageSize);
          const next = from + pageSize;
          const link = `<https://elsewhere.example/x?per_page=100&cursor=v1_${String(next)}>; rel="next"`;
          const items = page.map(({ id, guid, at, status = 502, event = 'push' }) => ({
            id: `ID${id}`,
            guid,
            event,
            delivered_at: at.toISOString(),
            redelivery: false,
            status: status === 200 ? 'OK' : 'Bad Gateway',
            status_code: status,
          }));
          return {
            status: 200,
            body: JSON.stringify(items).replaceAll(/"ID(\d+)"/g, '$1'),
            headers: next < sent.length ? { link } : {},
          };
        },
      ],
      [
        'POST',
        `${folder}/hooks/7/deliveries/:id/attempts`,
        ({ id = '' }) => {
          redelivered.push(id);
          given.onRedeliver?.(id);
          return { status: 202, body: {} };
        },
      ],
      ['GET', '/repos/acme/shop/pulls', () => ({ status: 200, body: given.pulls ?? [] })],
    ],
  );
  const access = { github: { token: TOKEN, apiUrl: server.apiUrl } };
  return { ...server, access, redelivered, sent };
}
