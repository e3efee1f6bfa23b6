/** A full id, or the 12 characters and more that some hosts give. */
export const isCommitId = (text: string): boolean =>
  /^(?:[0-9a-f]{12,40}|[0-9a-f]{64})$/.test(text);

export const isFullCommitId = (text: string): boolean => text.length === 40 || text.length === 64;

/** As `git check-ref-format` has it, so that git takes it for a name and nothing else. */
export function isRef(text: string): boolean {
  return (
    text.length <= 500 &&
    /^refs(?:\/[^/]+)+$/.test(text) &&
    !/[\p{Cc} ~^:?*[\\]|\.\.|@\{|\.$/u.test(text) &&
    text.split('/').every((part) => !/^[.-]|\.lock$/.test(part))
  );
}

/** Where a commit may be: its id, and the refs that led to it when the webhook was sent. */
export type Wanted = Readonly<{ id: string | null; refs: readonly string[] }>;
