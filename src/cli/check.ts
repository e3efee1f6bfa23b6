/** One line of `doctor`. */
export type Check = Readonly<{
  name: string;
  result: 'ok' | 'warn' | 'fail';
  message: string;
  /** What to do about it. */
  fix: string | null;
}>;
