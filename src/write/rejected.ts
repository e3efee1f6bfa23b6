/** A command that contradicts what has happened. The caller can act on `reason`; it is not a fault. */
export class Rejected<Reason extends string = string> extends Error {
  override readonly name = 'Rejected';

  constructor(
    readonly reason: Reason,
    message: string = reason,
  ) {
    super(message);
  }
}
