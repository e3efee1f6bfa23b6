import { senderOf } from './address.ts';

/** An address takes some 100 bytes. */
const MAX_ADDRESSES = 10_000;
const MINUTE_MS = 60_000;

type Bucket = { failures: number; at: number };

/**
 * Refuses addresses that send nothing but what is not authentic, before anything of it is read. Git hosts send
 * everything from a few addresses, some of it for hooks with a wrong secret: an address from which anything authentic
 * has come is never refused, however much of the rest is wrong.
 */
export class FailureLimit {
  /** The one that was heard of last is last. */
  private readonly failing = new Map<string, Bucket>();
  private readonly proven = new Map<string, true>();

  constructor(private readonly maxPerMinute: number) {}

  /** 0 when it may pass, else the milliseconds until the next may. */
  waitMs(address: string, nowMs: number): number {
    const bucket = this.failing.get(senderOf(address));
    if (bucket === undefined) return 0;
    const over = this.left(bucket, nowMs) + 1 - this.maxPerMinute;
    return over <= 0 ? 0 : (over * MINUTE_MS) / this.maxPerMinute;
  }

  failed(address: string, nowMs: number): void {
    const sender = senderOf(address);
    if (this.proven.has(sender)) return;
    const bucket = this.failing.get(sender);
    const failures = (bucket === undefined ? 0 : this.left(bucket, nowMs)) + 1;
    remember(this.failing, sender, { failures, at: nowMs });
  }

  succeeded(address: string): void {
    const sender = senderOf(address);
    this.failing.delete(sender);
    remember(this.proven, sender, true);
  }

  /** Failures are forgotten one by one, so many of them within a minute. */
  private left({ failures, at }: Bucket, nowMs: number): number {
    return Math.max(0, failures - ((nowMs - at) * this.maxPerMinute) / MINUTE_MS);
  }
}

/** Forgets the one that was heard of longest ago. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MAX_ADDRESSES) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
