/** What grants access to one host. The token is sent to this address and to no other. */
export type HostAccess = Readonly<{ token: string; apiUrl: string }>;

/** By provider; one that is not there is not asked. */
export type HostsAccess = Readonly<Record<string, HostAccess | undefined>>;

/** The host will not do what it was asked to, however often it is asked. */
export class HostRefused extends Error {
  override readonly name = 'HostRefused';

  constructor(
    message: string,
    /** Of HTTP; 0 where the host was not asked at all. */
    readonly status: number,
  ) {
    super(message);
  }
}
