import { PROVIDERS, type WebhookSource } from '../platform/webhook-sources.ts';
import { Usage } from './usage.ts';

export function providerNamed(name: string): WebhookSource['provider'] {
  const provider = PROVIDERS.find((each) => each === name);
  if (provider !== undefined) return provider;
  throw new Usage(`There is no provider "${name}": there are ${PROVIDERS.join(', ')}`);
}
