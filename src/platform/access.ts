import { createHash, timingSafeEqual } from 'node:crypto';

export type Role = 'viewer' | 'operator' | 'admin';

/** Who asks: the name of an API key and what it may do. */
export type Viewer = Readonly<{ name: string; role: Role }>;

export type ApiKey = Readonly<{ name: string; role: Role; key: string }>;

/** A key as it is kept: by its hash. */
export type KeptKey = Readonly<{ viewer: Viewer; hash: Buffer }>;

export type Refusal = 'wrong-key' | 'no-key' | 'not-loopback';

const RANK: Readonly<Record<Role, number>> = { viewer: 1, operator: 2, admin: 3 };

const LOCAL: Viewer = { name: 'local', role: 'admin' };

/** Who may use the API: the holders of the keys; without any key, whoever asks from this machine. */
export class Access {
  private readonly configured: readonly KeptKey[];
  private stored: readonly KeptKey[] = [];
  private readonly changed = new Set<() => void>();

  constructor(keys: readonly ApiKey[]) {
    this.configured = keys.map(({ name, role, key }) => ({
      viewer: { name, role },
      hash: hashOf(key),
    }));
  }

  /** Takes the place of the stored keys that were known before. */
  replaceStored(keys: readonly KeptKey[]): void {
    this.stored = keys;
    for (const look of this.changed) look();
  }

  /** Calls `look` whenever keys may have come or gone, until the function that it gives is called. */
  onChange(look: () => void): () => void {
    this.changed.add(look);
    return () => {
      this.changed.delete(look);
    };
  }

  /** `authorization` is the header's text, or that of the WebSocket's first message: `Bearer <key>`, or the key. */
  identify(authorization: unknown, remoteAddress: string | undefined): Viewer | Refusal {
    const keys = [...this.configured, ...this.stored];
    if (keys.length === 0) return isLoopback(remoteAddress) ? LOCAL : 'not-loopback';
    if (typeof authorization !== 'string' || authorization === '') return 'no-key';
    const hash = hashOf(authorization.replace(/^Bearer\s+/i, ''));
    return keys.find((key) => timingSafeEqual(key.hash, hash))?.viewer ?? 'wrong-key';
  }
}

export const mayAct = (viewer: Viewer, role: Role): boolean => RANK[viewer.role] >= RANK[role];

export const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest();

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/.test(address);
