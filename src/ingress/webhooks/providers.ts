import { github } from './github.ts';
import type { WebhookProvider } from './provider.ts';

const PROVIDERS: Readonly<Partial<Record<WebhookProvider['name'], WebhookProvider>>> = { github };

/** The rules of one Git host. */
export function providerOf(name: WebhookProvider['name']): WebhookProvider {
  const provider = PROVIDERS[name];
  if (provider === undefined) throw new Error(`The provider "${name}" is not there yet`);
  return provider;
}
