import type { Config } from '../platform/config.ts';
import { runningStart } from '../platform/running-start.ts';

/** Where the ingress of this machine listens, with or without `/webhooks`. */
export const ingressOf = ({ dataDir, ingressPort }: Config): string =>
  runningStart(dataDir)?.ingress ?? `http://127.0.0.1:${String(ingressPort)}`;

/** The address of a source, of an ingress that is named with or without `/webhooks`. */
export function webhookAddress(ingress: string, source: string): string {
  const url = ingress.replace(/\/+$/, '');
  return `${url.endsWith('/webhooks') ? url : `${url}/webhooks`}/${source}`;
}
