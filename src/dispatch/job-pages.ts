const PAGE = 500;

/** Reads rows of jobs page by page, in order of their ids, and handles each page before the next is read. */
export async function forEachPage<R extends Readonly<{ job_id: string }>>(
  read: (after: string, limit: number) => Promise<readonly R[]>,
  handle: (page: readonly R[]) => Promise<void>,
): Promise<void> {
  let after = '';
  for (;;) {
    const page = await read(after, PAGE);
    const last = page.at(-1);
    if (last === undefined) return;
    await handle(page);
    if (page.length < PAGE) return;
    after = last.job_id;
  }
}
