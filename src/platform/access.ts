import { createHash, timingSafeEqual } from 'node:crypto';

export type Role = 'viewer' | 'operator' | 'admin';

/** Who asks: the name of an API key and what it may do. */
export type Viewer = Readonly<{ name: string; role: Role }>;

export type ApiKey = Readonly<{ name: string; role: Role; key: string }>;

export type Refusal = 'wrong-key' | 'no-key' | 'not-loopback';

const RANK: Readonly<Record<Role, number>> = { viewer: 1, operator: 2, admin: 3 };

const LOCAL: Viewer = { name: 'local', role: 'admin' };

/** Who may use the API: the holders of the keys; without any key, whoever asks from this machine. */
export class Access {
  private readonly keys: readonly Readonly<{ viewer: Viewer; hash: Buffer }>[];

  constructor(keys: readonly ApiKey[]) {
    this.keys = keys.map(({ name, role, key }) => ({ viewer: { name, role }, hash: hashOf(key) }));
  }

  /** `authorization` is the header's text, or that of the WebSocket's first message: `Bearer <key>`, or the key. */
  identify(authorization: unknown, remoteAddress: string | undefined): Viewer | Refusal {
    if (this.keys.length === 0) return isLoopback(remoteAddress) ? LOCAL : 'not-loopback';
    if (typeof authorization !== 'string' || authorization === '') return 'no-key';
    const hash = hashOf(authorization.replace(/^Bearer\s+/i, ''));
    return this.keys.find((key) => timingSafeEqual(key.hash, hash))?.viewer ?? 'wrong-key';
  }
}

export const mayAct = (viewer: Viewer, role: Role): boolean => RANK[viewer.role] >= RANK[role];

const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest();

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/.test(address);
