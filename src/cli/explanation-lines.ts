import type { Trigger } from '../events/trigger.ts';
import type { FieldMatch } from '../sdk/trigger.ts';
import type { Explanation, WorkflowSight } from './explain-delivery.ts';
import { visible } from './output.ts';

/** An explanation for people. */
export function linesOf(explanation: Explanation): readonly string[] {
  const { status, outcome, reason, source, provider, event, action, triggers } = explanation;
  const facts = { source: `${source} (${provider})`, event, action, reason };
  return [
    `${String(status)} ${outcome}`,
    ...Object.entries(facts).map(([name, value]) => `  ${name.padEnd(8)} ${shown(value)}`),
    ...explanation.jobs.map(
      ({ workflow, trigger, concurrency }) =>
        `  job      ${workflow} for trigger ${String(trigger)}${keyOf(concurrency)}`,
    ),
    '',
    ...triggers.map((trigger, index) => `Trigger ${String(index + 1)}: ${about(trigger)}`),
    ...(triggers.length === 0 ? ['No triggers'] : []),
    ...linesOfFilters(explanation),
    ...explanation.workflows.flatMap((workflow) => ['', ...linesOfWorkflow(workflow)]),
  ].map((line) => visible(line).trimEnd());
}

const shown = (value: string | null): string => value ?? '-';

const keyOf = (concurrency: Explanation['jobs'][number]['concurrency']): string =>
  concurrency === null ? '' : `, ${concurrency.strategy} within ${concurrency.key}`;

function about({ event, action, repository, pullRequest, ref, headSha, sender }: Trigger): string {
  const number = pullRequest === null ? '' : `#${String(pullRequest.number)}`;
  const into = pullRequest?.baseBranch ?? null;
  return [
    `${event} ${action}`,
    repository === null ? '' : `${repository.fullName}${number}`,
    into === null ? shown(ref) : `${shown(ref)} into ${into}`,
    headSha === null ? '' : headSha.slice(0, 12),
    sender === null ? '' : `by ${sender}`,
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

function linesOfFilters({ source, filters }: Explanation): readonly string[] {
  if (filters.length === 0) return ['', `The source ${source} has no filters`];
  return [
    '',
    `The filters of the source ${source}`,
    ...filters.map(({ trigger, sight: { filter: field, ...rest } }) => {
      const not = field.startsWith('only.') || field === 'repositories' ? '' : 'not ';
      return `  trigger ${String(trigger)}: ${lineOfField({ field, not, ...rest })}`;
    }),
  ];
}

function linesOfWorkflow({ workflow, starts, reason, matchers }: WorkflowSight): readonly string[] {
  return [
    `${workflow} ${starts ? 'starts' : `does not start: ${shown(reason)}`}`,
    ...matchers.flatMap(({ trigger, passes, fields }) => [
      `  a matcher ${passes ? 'lets trigger' : 'stops trigger'} ${String(trigger)}${passes ? ' through' : ''}`,
      ...fields.map((field) => `    ${lineOfField(field)}`),
    ]),
  ];
}

function lineOfField({
  field,
  wanted,
  value,
  passes,
  not = '',
}: Omit<FieldMatch, 'field'> & Readonly<{ field: string; not?: string }>): string {
  const is = value === null ? 'has no value' : `is ${value}`;
  return `${passes ? 'yes' : 'no '}  ${field} ${is}, wanted: ${not}${wanted.join(' or ')}`;
}
