import type { Finding } from '../analysis.ts';
import { HostRefused } from '../../../hosts/host-access.ts';
import type { Change, Report } from './host-reporter.ts';
import { oneLine, summaryOf } from './status.ts';

export type Comment = Readonly<{ id: string; body: string; version?: number }>;

/** The comments of one pull request as its host has them. */
export type Comments = Readonly<{
  /** Text that the host keeps and does not show. */
  hidden: (text: string) => string;
  list: () => AsyncIterable<readonly Comment[]>;
  create: (body: string) => Promise<unknown>;
  edit: (comment: Comment, body: string) => Promise<unknown>;
}>;

export const inHtml = (text: string): string => `<!-- ${text} -->`;

/** A definition that nothing links to, for hosts that show comments of HTML. */
export const inLinkDefinition = (text: string): string => `[//]: # (${text})`;

/** Bitbucket takes 32,768 characters. */
const BODY = 24_000;
const LISTED = 50;
const PAGES = 30;

/**
 * Writes the one comment that a pull request has of us: edits the one that is there, and creates one where there is
 * none and something to say.
 */
export async function comment(
  comments: Comments,
  change: Change,
  report: Extract<Report, { state: 'finished' }>,
): Promise<void> {
  const marker = comments.hidden(`jobledger:code-review:${String(change.pullRequest)}`);
  const body = `${marker}\n\n${textOf(change, report)}`;
  for await (const found of marked(comments, marker)) {
    if (found.body.trim() === body || (await isEdited(comments, found, body))) return;
  }
  if (report.findings.length > 0) await comments.create(body);
}

async function* marked(comments: Comments, marker: string): AsyncGenerator<Comment> {
  let pages = 0;
  for await (const page of comments.list()) {
    yield* page.filter(({ body }) => body.startsWith(marker));
    pages += 1;
    if (pages === PAGES) return;
  }
}

/** Somebody else may have copied the marker. */
async function isEdited(comments: Comments, found: Comment, body: string): Promise<boolean> {
  try {
    await comments.edit(found, body);
    return true;
  } catch (error) {
    if (error instanceof HostRefused && (error.status === 403 || error.status === 404)) {
      return false;
    }
    throw error;
  }
}

function textOf(
  { headSha, jobId }: Change,
  report: Extract<Report, { state: 'finished' }>,
): string {
  const head = `**Code review** of ${code(headSha.slice(0, 10))}: ${summaryOf(report)}.`;
  const lines: string[] = [];
  let length = head.length;
  for (const finding of report.findings.slice(0, LISTED)) {
    const line = lineOf(finding);
    length += line.length + 1;
    if (length > BODY) break;
    lines.push(line);
  }
  const left = report.findings.length + report.findingsLeftOut - lines.length;
  const more = left === 0 ? [] : ['', `${String(left)} more: see job ${code(jobId)}.`];
  return [head, ...(lines.length === 0 ? [] : ['', ...lines]), ...more].join('\n');
}

const lineOf = ({ file, line, severity, rule, message }: Finding): string =>
  `- ${code(`${file}:${String(line)}`)} ${severity} ${code(rule)}: ${plain(message)}`;

/** Within a code span nothing is a mention, a link or a command. */
const code = (text: string): string => `\`${oneLine(text, 250).replaceAll('`', "'")}\``;

/** Text that looks as it reads: no formatting, no links, and nobody is called. */
const plain = (text: string): string =>
  oneLine(text, 300)
    .replaceAll(/[\\`*_[\]<>|~#!&]/g, String.raw`\$&`)
    .replaceAll('@', '@\u200B');
