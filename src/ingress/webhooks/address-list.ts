import { BlockList, isIP } from 'node:net';

/** The addresses that a source may send from: single ones and networks in CIDR notation. */
export class AddressList {
  private readonly list = new BlockList();

  /** Throws on an entry that is neither, as an allow list with a hole is none. */
  constructor(source: string, entries: readonly string[]) {
    for (const entry of entries) {
      const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
      const family = familyOf(address);
      const bits = prefix === undefined ? WHOLE[family ?? 'ipv4'] : Number(prefix);
      if (family === null || bits > WHOLE[family]) {
        throw new Error(
          `The source "${source}" allows "${entry}", which is neither an IP address nor a network: write 192.0.2.1 or 192.0.2.0/24`,
        );
      }
      this.list.addSubnet(address, bits, family);
    }
  }

  has(address: string): boolean {
    // A socket that listens on IPv6 gives IPv4 addresses in this form.
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    const family = familyOf(plain);
    return family !== null && this.list.check(plain, family);
  }
}

const WHOLE = { ipv4: 32, ipv6: 128 } as const;

function familyOf(address: string): 'ipv4' | 'ipv6' | null {
  const version = isIP(address);
  if (version === 0) return null;
  return version === 4 ? 'ipv4' : 'ipv6';
}
