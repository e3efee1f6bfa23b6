import { makeSampleRepository } from '../workflows/code-review/sample-repository.ts';

/** The `pull_request` delivery that GitHub would send for the sample's pull request. */
export async function samplePayload(directory: string): Promise<Buffer> {
  const { cloneUrl, baseSha, headSha, baseBranch, headBranch, number, title } =
    await makeSampleRepository(directory);
  const repository = {
    id: 1,
    name: 'shop',
    full_name: 'sample/shop',
    html_url: 'http://127.0.0.1/sample/shop',
    clone_url: cloneUrl,
    default_branch: baseBranch,
    owner: { login: 'sample' },
  };
  const payload = {
    action: 'opened',
    number,
    pull_request: {
      id: 7,
      number,
      title,
      state: 'open',
      html_url: `http://127.0.0.1/sample/shop/pull/${String(number)}`,
      user: { login: 'newcomer' },
      head: { ref: headBranch, sha: headSha, repo: repository },
      base: { ref: baseBranch, sha: baseSha, repo: repository },
      // Each sending is another delivery with another body, as it would be for another push.
      updated_at: new Date().toISOString(),
    },
    repository,
    sender: { login: 'newcomer' },
  };
  return Buffer.from(JSON.stringify(payload));
}
