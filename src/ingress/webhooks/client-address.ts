import { plainAddress } from './address.ts';
import { AddressList } from './address-list.ts';

/** More proxies in a row than anybody has. */
const MAX_HOPS = 20;

/**
 * Whose request it is. Anybody can write `X-Forwarded-For`, and each proxy appends whom it got the request from: so it
 * is read from the right, and only as far as those who have written it are trusted.
 */
export class ClientAddress {
  private readonly trusted: AddressList | null;

  constructor(trustedProxies: readonly string[]) {
    this.trusted =
      trustedProxies.length === 0 ? null : new AddressList('TRUSTED_PROXIES names', trustedProxies);
  }

  /** The address in its plain spelling; empty where the socket is gone. */
  of(remoteAddress: string, forwardedFor: string | undefined): string {
    const remote = plainAddress(remoteAddress) ?? '';
    if (forwardedFor === undefined || this.trusted?.has(remote) !== true) return remote;
    let client = remote;
    for (const hop of forwardedFor.split(',').slice(-MAX_HOPS).toReversed()) {
      const address = addressIn(hop.trim());
      if (address === null) return client;
      client = address;
      if (!this.trusted.has(address)) return client;
    }
    return client;
  }
}

/** Some proxies write the port too. */
function addressIn(hop: string): string | null {
  const [, bracketed, withPort] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(hop) ?? [];
  return plainAddress(bracketed ?? withPort ?? hop);
}
