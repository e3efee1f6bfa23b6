export type LineRange = readonly [from: number, to: number];

/** Enough of a line to tell what it is. */
const LINE_BYTES = 300;

/**
 * Reads the added lines out of a patch without context, made with `--full-index`, as it comes. Files are told
 * by the ids of their contents: those need no quoting, whatever the file is called. Lines of a file begin with
 * `+`, `-` or a backslash, so no content can pass for a header.
 */
export class AddedLines {
  readonly #ranges = new Map<string, LineRange[]>();
  readonly #unread = new Set<string>();
  #current: LineRange[] = [];
  #file = '';
  #line = '';

  push(chunk: Buffer): void {
    const lines = chunk.toString('latin1').split('\n');
    for (const [index, part] of lines.entries()) {
      if (index > 0) this.#read();
      if (this.#line.length < LINE_BYTES) this.#line += part.slice(0, LINE_BYTES);
    }
  }

  /** Of the file that changed from the one content to the other. */
  of(oldId: string, newId: string): readonly LineRange[] {
    return this.#ranges.get(`${oldId}..${newId}`) ?? [];
  }

  /** Whether git saw no lines in it, for it is binary or too large. */
  isUnread(oldId: string, newId: string): boolean {
    return this.#unread.has(`${oldId}..${newId}`);
  }

  #read(): void {
    const line = this.#line;
    this.#line = '';
    const index = /^index ([0-9a-f]+\.\.[0-9a-f]+)/.exec(line);
    if (index?.[1] !== undefined) {
      this.#current = [];
      [, this.#file] = index;
      this.#ranges.set(this.#file, this.#current);
      return;
    }
    if (line.startsWith('Binary files ')) this.#unread.add(this.#file);
    const hunk = /^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (!hunk) return;
    const from = Number(hunk[1]);
    const count = Number(hunk[2] ?? 1);
    if (count > 0) this.#current.push([from, from + count - 1]);
  }
}
