import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';

import { allowed, allowListOf } from '../../src/workflows/code-review/git/allow-list.ts';
import { parseCloneUrl } from '../../src/workflows/code-review/git/clone-url.ts';
import { temporaryFolder } from './support/git-repository.ts';

const folder = temporaryFolder();
afterAll(folder.remove);
for (const path of [
  'srv/git/acme/shop.git',
  'srv/git-evil/x',
  'etc/secret',
  'data/sample/shop.git',
]) {
  mkdirSync(join(folder.path, path), { recursive: true });
}
symlinkSync(join(folder.path, 'etc'), join(folder.path, 'srv/git/acme/link'));
symlinkSync(join(folder.path, 'srv/git/acme'), join(folder.path, 'srv/git/inside'));

const srv = pathToFileURL(join(folder.path, 'srv')).href;
const dataDir = join(folder.path, 'data');
const list = allowListOf(
  ['https://github.com/acme', 'http://git.example.com:8080/', `${srv}/git/`],
  dataDir,
);

async function refusal(url: string): Promise<string> {
  const error: unknown = await allowed(list, url).then(
    ({ href }) => new Error(`It was let through as ${href}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Error) || error.name !== 'NonRetriable') throw error;
  return error.message;
}

describe('lets through', () => {
  test.each([
    ['https://github.com/acme/shop.git', 'https://github.com/acme/shop.git'],
    ['https://github.com/acme/', 'https://github.com/acme'],
    ['https://GitHub.com:443/acme/shop', 'https://github.com/acme/shop'],
    ['HTTPS://github.com/acme/shop', 'https://github.com/acme/shop'],
    ['http://git.example.com:8080/any/where.git', 'http://git.example.com:8080/any/where.git'],
    [`${srv}/git/acme/shop.git`, `${srv}/git/acme/shop.git`],
    [`${srv}/git/acme/shop`, `${srv}/git/acme/shop`],
    [`${srv}/git/inside/shop.git`, `${srv}/git/inside/shop.git`],
    [pathToFileURL(join(dataDir, 'sample/shop.git')).href, expect.stringContaining('shop.git')],
  ])('%s', async (url, href) => {
    expect((await allowed(list, url)).href).toEqual(href);
  });
});

describe('never lets through', () => {
  test.each([
    // Another host, port, scheme or owner.
    'https://github.com.evil.example/acme/shop.git',
    'https://evil.example/github.com/acme/shop.git',
    'https://evil.example/https://github.com/acme/shop.git',
    'https://github.com:8443/acme/shop.git',
    'http://github.com/acme/shop.git',
    'https://github.com./acme/shop.git',
    'https://sub.github.com/acme/shop.git',
    'https://github.com/acme-evil/shop.git',
    'https://github.com/acmeevil',
    'https://github.com/ACME/shop.git',
    'https://github.com/evil/acme/shop.git',
    'https://github.com',
    'http://git.example.com/x.git',
    'http://git.example.com:80/x.git',
    'http://git.example.com:8080',
    'http://git.example.com:8080/',
    'http://127.0.0.1:8080/x.git',
    'http://[::1]:8080/x.git',
    'http://2130706433/x.git',
    // User information, which may also hide the host.
    'https://token@github.com/acme/shop.git',
    'https://user:password@github.com/acme/shop.git',
    'https://@github.com/acme/shop.git',
    'https://github.com@evil.example/acme/shop.git',
    'https://github.com%40evil.example/acme/shop.git',
    'https://evil.example\\@github.com/acme/shop.git',
    'https://evil.example#@github.com/acme/shop.git',
    'https://evil.example?@github.com/acme/shop.git',
    // Paths that lead elsewhere.
    'https://github.com/acme/../evil/shop.git',
    'https://github.com/acme/./shop.git',
    'https://github.com/acme/%2e%2e/evil/shop.git',
    'https://github.com/acme/.%2E/evil/shop.git',
    'https://github.com/acme%2f..%2fevil/shop.git',
    'https://github.com/acme%5cevil/shop.git',
    'https://github.com\\acme\\shop.git',
    'https://github.com//acme/shop.git',
    'https://github.com/acme//shop.git',
    'https:/github.com/acme/shop.git',
    'https:github.com/acme/shop.git',
    'https:///github.com/acme/shop.git',
    'https://github.com/acme/shop.git?service=x',
    'https://github.com/acme/shop.git#x',
    'https://github.com/acme/shop%00.git',
    'https://github.com/acme/shop%0a.git',
    'https://github.com/acme/shop%.git',
    'https://github.com/acme/%ff.git',
    // Characters that are dropped or split a line.
    ' https://github.com/acme/shop.git',
    'https://github.com/acme/shop.git\n',
    'https://github.com/ac\nme/shop.git',
    'https://git\thub.com/acme/shop.git',
    'https://github.com/acme/shop.git --upload-pack=touch',
    // What git understands and we do not.
    'git://github.com/acme/shop.git',
    'ssh://git@github.com/acme/shop.git',
    'git@github.com:acme/shop.git',
    'ext::sh -c touch% /tmp/x',
    'ftp://github.com/acme/shop.git',
    '--upload-pack=touch /tmp/x',
    '-c protocol.ext.allow=always',
    '/srv/git/acme/shop.git',
    '../acme/shop.git',
    '',
    'https://',
    `https://github.com/acme/${'a'.repeat(2000)}`,
    // Folders.
    'file:///etc/passwd',
    `${srv}/git-evil/x`,
    `${srv}/git/../git-evil/x`,
    `${srv}/git/acme/link/secret`,
    `${srv}/git/acme/link`,
    `${srv.replace('file://', 'file://evil.example')}/git/acme/shop.git`,
    `${srv.replace('file://', 'file:')}/git/acme/shop.git`,
    `${srv.replace('file://', 'file://C:')}/git/acme/shop.git`,
    pathToFileURL(join(dataDir, 'repositories/x.git')).href,
  ])('%j', async (url) => {
    expect(await refusal(url)).toMatch(/is not allowed: /);
  });

  test('a folder that is not there', async () => {
    expect(await refusal(`${srv}/git/acme/none`)).toContain('does not exist');
  });

  test('anything else that begins like a prefix', async () => {
    const part = fc.constantFrom(
      'acme',
      'evil',
      '..',
      '.',
      '%2e%2e',
      '@',
      ':',
      '\\',
      '//',
      '?',
      '#',
    );
    const url = fc.array(part).map((parts) => `https://github.com/acme${parts.join('')}`);
    await fc.assert(
      fc.asyncProperty(url, async (text) => {
        const through = await allowed(list, text).catch(() => null);
        // What was let through leads git to the owner that was allowed.
        if (through) expect(new URL(through.href).pathname).toMatch(/^\/acme(?:\/|$)/);
      }),
    );
  });
});

test('says why, and names CLONE_ALLOW', async () => {
  expect(await refusal('https://evil.example/acme/shop.git')).toBe(
    'Repository https://evil.example/acme/shop.git is not allowed: no prefix of CLONE_ALLOW lets it be fetched. Add https://evil.example/acme/ or a longer prefix of it to CLONE_ALLOW',
  );
});

test('never repeats a password, nor a line break', async () => {
  const message = await refusal('https://ada:hunter2@github.com/acme/shop.git\nx');
  expect(message).not.toContain('hunter2');
  expect(message).not.toContain('\n');
});

test('lets only the hosts of the providers and the sample through by default', async () => {
  const byDefault = allowListOf(null, dataDir);
  const urls = [
    'github.com',
    'gitlab.com',
    'bitbucket.org',
    'dev.azure.com',
    'gitea.com',
    'codeberg.org',
  ];
  for (const host of urls) await allowed(byDefault, `https://${host}/acme/shop.git`);
  await allowed(byDefault, pathToFileURL(join(dataDir, 'sample/shop.git')).href);
  await expect(allowed(byDefault, `${srv}/git/acme/shop.git`)).rejects.toThrow('CLONE_ALLOW');
  await expect(allowed(byDefault, 'https://example.com/a/b')).rejects.toThrow('CLONE_ALLOW');
});

test.each(['github.com/acme', '*', 'https://user@github.com/', 'ssh://github.com/'])(
  'refuses %s as a prefix at the start',
  (prefix) => {
    expect(() => allowListOf([prefix], dataDir)).toThrow(/^CLONE_ALLOW: ".*" is not a prefix/);
  },
);

test('what is parsed is read again in the same way', () => {
  const scheme = fc.constantFrom('https', 'HTTP', 'file');
  const host = fc.constantFrom(
    '',
    'a.example',
    'A.Example:443',
    '1.2.3.4:80',
    '[::1]',
    'ünï.example',
  );
  const path = fc.array(
    fc.oneof(fc.string({ maxLength: 5 }), fc.constantFrom('%41', '%2e', 'é', '😀')),
  );
  fc.assert(
    fc.property(scheme, host, path, (...[start, authority, parts]) => {
      const parsed = parseCloneUrl(`${start}://${authority}/${parts.join('/')}`);
      if (typeof parsed === 'string') return;
      expect(parseCloneUrl(parsed.href)).toEqual(parsed);
    }),
  );
});
