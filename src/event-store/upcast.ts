/** Turns the data of one version of an event type into the next version's. Pure: no clock, no I/O. */
export type Upcast = (data: never) => unknown;

/** Per event type: from version 1 to 2, from 2 to 3, and so on. A type that is not here is at version 1. */
export type UpcastRegistry = Readonly<Record<string, readonly Upcast[]>>;

/** The event was written by a newer program than this one, in a shape that it does not know. */
export class UnknownSchemaVersion extends Error {
  override readonly name = 'UnknownSchemaVersion';
}

/** Events are stored once and for ever in the shape of their day; readers see only today's shape. */
export class Upcasters {
  private readonly registry: ReadonlyMap<string, readonly Upcast[]>;

  constructor(registry: UpcastRegistry = {}) {
    this.registry = new Map(Object.entries(registry));
  }

  /** The schema version that new events of a type are written in. */
  currentVersion(type: string): number {
    return 1 + (this.registry.get(type)?.length ?? 0);
  }

  /** Brings stored data up to the current version; throws `UnknownSchemaVersion` for a version from the future. */
  upcast(type: string, schemaVersion: number, data: unknown): unknown {
    const chain = this.registry.get(type) ?? [];
    if (schemaVersion > chain.length + 1) {
      throw new UnknownSchemaVersion(
        `${type} is stored in schema version ${String(schemaVersion)}, and this program knows up to ` +
          `${String(chain.length + 1)}: deploy the newer one`,
      );
    }
    return chain.slice(schemaVersion - 1).reduce((older, upcast) => upcast(older as never), data);
  }
}
