import { isIP } from 'node:net';

/** An address in one spelling: IPv4 where it stands in IPv6, no zone, lower case; null for what is none. */
export function plainAddress(text: string): string | null {
  const [address = ''] = text.toLowerCase().split('%', 1);
  const family = isIP(address);
  if (family !== 6) return family === 4 ? address : null;
  // As the URL standard writes it: the shortest, and always in the same way.
  const short = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [, high, low] = MAPPED.exec(short) ?? [];
  return high === undefined || low === undefined ? short : ipv4Of(high, low);
}

/** A socket that listens on IPv6 gives IPv4 addresses in this form. */
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

const ipv4Of = (high: string, low: string): string =>
  [high, low]
    .flatMap((pair) => [Number.parseInt(pair, 16) >> 8, Number.parseInt(pair, 16) & 0xff])
    .join('.');

/** What one sender has: an IPv4 address, or the first half of an IPv6 address, as a line gets at least a /64. */
export function senderOf(address: string): string {
  if (!address.includes(':')) return address;
  const [before = '', after] = address.split('::');
  const first = before === '' ? [] : before.split(':');
  if (after === undefined) return first.slice(0, 4).join(':');
  const last = after === '' ? [] : after.split(':');
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0');
  return [...first, ...zeros, ...last].slice(0, 4).join(':');
}
