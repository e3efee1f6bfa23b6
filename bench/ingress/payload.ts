import { createHmac, randomUUID } from 'node:crypto';

/** An account as GitHub describes one, which it does several times in each payload. */
const account = (login: string): object => ({
  login,
  id: 21_031_067,
  node_id: 'MDQ6VXNlcjIxMDMxMDY3',
  avatar_url: `https://avatars1.githubusercontent.com/u/21031067?v=4&login=${login}`,
  gravatar_id: '',
  ...Object.fromEntries(
    ['followers', 'following', 'gists', 'starred', 'subscriptions', 'orgs', 'repos', 'events'].map(
      (list) => [`${list}_url`, `https://api.github.com/users/${login}/${list}{/other}`],
    ),
  ),
  type: 'User',
  site_admin: false,
});

const repository = (fullName: string): object => ({
  id: 186_853_002,
  name: fullName.split('/')[1],
  full_name: fullName,
  private: false,
  owner: account('octo'),
  html_url: `https://github.com/${fullName}`,
  description: null,
  fork: false,
  ...Object.fromEntries(
    ['keys', 'hooks', 'issues', 'events', 'branches', 'tags', 'trees', 'commits', 'merges'].map(
      (list) => [`${list}_url`, `https://api.github.com/repos/${fullName}/${list}{/sha}`],
    ),
  ),
  clone_url: `https://github.com/${fullName}.git`,
  default_branch: 'main',
});

const SHA = '0123456789abcdef0123456789abcdef01234567';
const BYTES = 10_240;

/** A pull request that was opened, as GitHub tells of it in 10 KB; `nonce` makes it another one. */
function pullRequestOpened(nonce: string): string {
  const fullName = 'octo/bench';
  const branch = (ref: string): object => ({
    label: `octo:${ref}`,
    ref,
    sha: SHA,
    user: account('octo'),
    repo: repository(fullName),
  });
  const payload = {
    action: 'opened',
    number: 2,
    pull_request: {
      id: 279_147_437,
      html_url: `https://github.com/${fullName}/pull/2`,
      number: 2,
      state: 'open',
      title: `Mend the roof ${nonce}`,
      user: account('ada'),
      body: '',
      labels: [{ id: 1, name: 'bug', color: 'fc2929' }],
      draft: false,
      head: branch('roof'),
      base: branch('main'),
      merged: false,
    },
    repository: repository(fullName),
    sender: account('ada'),
  };
  payload.pull_request.body = 'It leaks. '
    .repeat(1024)
    .slice(0, Math.max(0, BYTES - JSON.stringify(payload).length));
  return JSON.stringify(payload);
}

/** What goes over the wire for one delivery that nobody has seen before. */
export function requestFor(
  delivery: Readonly<{ path: string; secret: string; event: string; body: string }>,
): Buffer {
  const { path, secret, event, body } = delivery;
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  return Buffer.from(
    [
      `POST ${path} HTTP/1.1`,
      'host: 127.0.0.1',
      'accept: */*',
      'user-agent: GitHub-Hookshot/2ba7e0b',
      `content-length: ${String(Buffer.byteLength(body))}`,
      'content-type: application/json',
      `x-github-event: ${event}`,
      `x-github-delivery: ${randomUUID()}`,
      'x-github-hook-id: 109948940',
      'x-github-hook-installation-target-id: 186853002',
      'x-github-hook-installation-target-type: repository',
      `x-hub-signature-256: sha256=${signature}`,
      '',
      body,
    ].join('\r\n'),
  );
}

const TEMPLATE = pullRequestOpened('@nonce@');

export const uniquePullRequest = (): string => TEMPLATE.replace('@nonce@', randomUUID());

/** A push with so many bytes that the longest of its texts is far shorter than the whole. */
export function largePush(bytes: number): string {
  const commit = (): string =>
    JSON.stringify({ id: SHA, message: 'x'.repeat(60_000), added: ['a'], nonce: randomUUID() });
  const commits: string[] = [];
  for (let length = 0; length < bytes - 62_000; length += 60_200) commits.push(commit());
  const payload = {
    ref: 'refs/heads/main',
    before: SHA,
    after: SHA.replace('0', 'a'),
    repository: repository('octo/large'),
    sender: account('ada'),
  };
  const json = `${JSON.stringify(payload).slice(0, -1)},"commits":[${commits.join(',')}]}`;
  return `${json.slice(0, -1)}${' '.repeat(Math.max(0, bytes - json.length))}}`;
}
