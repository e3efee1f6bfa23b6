import type { WebhookSource } from '../../platform/webhook-sources.ts';
import type { BodyFormat, Headers } from './provider.ts';
import { providerOf } from './providers.ts';
import { activeSecrets } from './signature.ts';

/** What may have gone wrong with a delivery that is not authentic, and what to do. For operators, never for the sender. */
export const HINTS = {
  'no-valid-secret': 'Every secret of the source has expired: give it a new one on both sides',
  'other-host':
    'The headers are those of another Git host: use the address of a source of that provider',
  'signature-missing':
    'There is no signature: the webhook has no secret at the host; enter the one of the source',
  'signature-sha1':
    'There is only a SHA-1 signature, which is not taken: the host is too old, or a proxy removes the header of the other',
  'signature-malformed':
    'The signature is not of the form that the host gives it: something on the way changes the headers',
  'wrong-kind-of-token':
    'GitLab has a secret token where the source has a signing token (whsec_), or the other way round: use the same kind on both sides',
  'secret-expired':
    'It is signed with a secret of the source that has expired: enter the newest one at the host',
  'secret-ends-with-newline':
    'It is signed with the right secret and a line break after it: enter it at the host again without',
  'clock-differs':
    'The signature is right, but its time differs by more than 5 minutes from the time here: set the clocks',
  'body-changed':
    'The secret is right, but the body is not the one that was signed: something on the way changes its line breaks',
  'secret-differs':
    'The form is right and the value wrong: the secrets differ, or something on the way encodes the body anew',
} as const satisfies Record<string, string>;

export type Hint = keyof typeof HINTS;

type Unauthentic = Readonly<{ headers: Headers; body: Buffer; format: BodyFormat; now: Date }>;

/** What is tried to find the reason costs a digest each, and anybody can have it tried. */
const LARGEST_TRIED = 65_536;

/** The likeliest reason why a delivery was not authentic. Looks at headers and bytes only: nothing is parsed. */
export function diagnose(
  source: WebhookSource,
  delivery: Unauthentic,
  { isThorough = true }: Readonly<{ isThorough?: boolean }> = {},
): Hint {
  if (activeSecrets(source, delivery.now).length === 0) return 'no-valid-secret';
  const { headers } = delivery;
  const form = FORMS[source.provider](headers, source);
  if (form === 'well-formed') return isThorough ? tried(source, delivery) : 'secret-differs';
  return isOfAnother(source.provider, headers) ? 'other-host' : form;
}

type Form = 'well-formed' | Hint;

type FormOf = (headers: Headers, source: WebhookSource) => Form;

const HEX_AFTER_NAME = /^sha256=[0-9a-f]{64}$/;
const HEX = /^[0-9a-f]{64}$/;

function formOf(value: string | undefined, pattern: RegExp): Form {
  if (value === undefined || value === '') return 'signature-missing';
  return pattern.test(value) ? 'well-formed' : 'signature-malformed';
}

const bitbucket: FormOf = (headers) => formOf(headers['x-hub-signature'], HEX_AFTER_NAME);

const gitea: FormOf = (headers) =>
  formOf(headers['x-forgejo-signature'] ?? headers['x-gitea-signature'], HEX);

const FORMS: Readonly<Record<WebhookSource['provider'], FormOf>> = {
  github(headers) {
    const form = formOf(headers['x-hub-signature-256'], HEX_AFTER_NAME);
    const isOld = form === 'signature-missing' && headers['x-hub-signature'] !== undefined;
    return isOld ? 'signature-sha1' : form;
  },
  gitlab(headers, { secrets }) {
    const signature = headers['webhook-signature'];
    const token = headers['x-gitlab-token'];
    const isSigned = signature !== undefined;
    const given = signature ?? token;
    const hasKind = secrets.some(({ value }) => value.startsWith('whsec_') === isSigned);
    if (given !== undefined && given !== '' && !hasKind) return 'wrong-kind-of-token';
    return formOf(given, isSigned ? /^v1,[A-Za-z0-9+/]{43}=(?: |$)/ : /./);
  },
  'bitbucket-cloud': bitbucket,
  'bitbucket-dc': bitbucket,
  'azure-repos': (headers) => formOf(headers['authorization'], /^basic [A-Za-z0-9+/]+=*$/i),
  gitea,
  forgejo: gitea,
};

/** Gitea and Forgejo send GitHub's headers too, and Forgejo sends Gitea's, so their own come first. */
const SENT_ONLY_BY: readonly (readonly [string, readonly WebhookSource['provider'][]])[] = [
  ['x-gitea-event', ['gitea', 'forgejo']],
  ['x-gitlab-event', ['gitlab']],
  ['x-hook-uuid', ['bitbucket-cloud']],
  ['x-event-key', ['bitbucket-dc', 'bitbucket-cloud']],
  ['x-github-event', ['github']],
];

function isOfAnother(provider: WebhookSource['provider'], headers: Headers): boolean {
  const found = SENT_ONLY_BY.find(([header]) => headers[header] !== undefined);
  return found !== undefined && !found[1].includes(provider);
}

/** Looks for the one change that would have made it authentic. */
function tried(source: WebhookSource, delivery: Unauthentic): Hint {
  const { headers, body, format, now } = delivery;
  if (body.length > LARGEST_TRIED) return 'secret-differs';
  const { verify } = providerOf(source.provider);
  const secrets = activeSecrets(source, now);
  const would = (change: Partial<Parameters<typeof verify>[0]>): boolean =>
    verify({ headers, body, format, secrets, now, ...change }) === 'authentic';
  if (would({ secrets: source.secrets.map(({ value }) => value) })) return 'secret-expired';
  if (would({ secrets: secrets.map((secret) => `${secret}\n`) })) return 'secret-ends-with-newline';
  if (would({ now: signedAt(headers) })) return 'clock-differs';
  return otherBreaks(body).some((each) => would({ body: each }))
    ? 'body-changed'
    : 'secret-differs';
}

const signedAt = (headers: Headers): Date => new Date(Number(headers['webhook-timestamp']) * 1000);

/** The body with the line breaks that editors, shells and gateways add, take away or replace. */
function otherBreaks(body: Buffer): readonly Buffer[] {
  const text = body.toString('latin1');
  const changed = [
    text.replace(/\r?\n$/, ''),
    `${text}\n`,
    text.replaceAll('\r\n', '\n'),
    text.replaceAll(/\r?\n/g, '\r\n'),
  ];
  return changed.filter((each) => each !== text).map((each) => Buffer.from(each, 'latin1'));
}
