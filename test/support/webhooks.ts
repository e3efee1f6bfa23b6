import { createHmac, randomUUID } from 'node:crypto';

/** A push to a branch, as GitHub would tell it. */
export const push = (repository = 'octo/repo', change: object = {}) => ({
  ref: 'refs/heads/main',
  before: 'b'.repeat(40),
  after: randomUUID().replaceAll('-', '').padEnd(40, '0'),
  created: false,
  deleted: false,
  forced: false,
  repository: {
    id: 1,
    name: repository.split('/')[1],
    full_name: repository,
    html_url: `https://github.com/${repository}`,
    clone_url: `https://github.com/${repository}.git`,
    owner: { login: repository.split('/')[0] },
  },
  pusher: { name: 'octocat' },
  sender: { login: 'octocat' },
  ...change,
});

/** Sends a signed GitHub delivery. */
export function deliver(
  ingress: string,
  payload: object,
  {
    event = 'push',
    secret,
    id = randomUUID(),
  }: Readonly<{ event?: string; secret: string; id?: string }>,
): Promise<Response> {
  const body = JSON.stringify(payload);
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  return fetch(`${ingress}/webhooks/github`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-github-event': event,
      'x-github-delivery': id,
      'x-hub-signature-256': `sha256=${signature}`,
    },
    body,
  });
}
