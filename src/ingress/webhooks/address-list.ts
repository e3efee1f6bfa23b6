import { BlockList, isIP } from 'node:net';

import { plainAddress } from './address.ts';

/** Addresses and networks in CIDR notation. */
export class AddressList {
  private readonly list = new BlockList();

  /** Throws on an entry that is neither, as an allow list with a hole is none; `whose` begins the sentence. */
  constructor(whose: string, entries: readonly string[]) {
    for (const entry of entries) {
      const network = networkOf(entry);
      if (network === null) {
        throw new Error(
          `${whose} "${entry}", which is neither an IP address nor a network: write 192.0.2.1 or 192.0.2.0/24`,
        );
      }
      this.list.addSubnet(network.address, network.bits, network.family);
    }
  }

  /** In any spelling. */
  has(address: string): boolean {
    const plain = plainAddress(address);
    return plain !== null && this.list.check(plain, familyOf(plain));
  }
}

const WHOLE = { ipv4: 32, ipv6: 128 } as const;

type Family = keyof typeof WHOLE;

const familyOf = (address: string): Family => (isIP(address) === 4 ? 'ipv4' : 'ipv6');

function networkOf(
  entry: string,
): Readonly<{ address: string; bits: number; family: Family }> | null {
  const [, given = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const address = plainAddress(given);
  if (address === null) return null;
  const written = WHOLE[familyOf(given)];
  const family = familyOf(address);
  // ::ffff:192.0.2.0/120 is 192.0.2.0/24.
  const bits = (prefix === undefined ? written : Number(prefix)) - (written - WHOLE[family]);
  return bits < 0 || bits > WHOLE[family] ? null : { address, bits, family };
}
