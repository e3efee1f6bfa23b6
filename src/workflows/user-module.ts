import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { defineWorkflow, type Workflow, type WorkflowDefinition } from '../sdk/index.ts';
import { assertSchedules } from './schedules.ts';

/**
 * All workflows that a module exports, by name or as its default, in the order of the workflows' names. Anything else that it exports is its own
 * business. They are told by their shape, for the module may have another copy of the SDK. `replace` gives the
 * workflow to take instead of an exported one.
 */
export async function importWorkflows(
  path: string,
  replace: (exported: object) => Workflow | null,
): Promise<readonly Workflow[]> {
  const file = resolve(path);
  const exported = await importModule(path, file);
  const workflows = new Map<string, Readonly<{ workflow: Workflow; origin: unknown }>>();
  for (const [exportName, value] of Object.entries(exported)) {
    if (!looksLikeWorkflow(value)) continue;
    const workflow = replace(value) ?? checked(value, `${path}, export "${exportName}"`);
    const other = workflows.get(workflow.name);
    if (other && other.origin !== value) {
      throw new Error(
        `WORKFLOWS: ${path} exports two workflows with the name "${workflow.name}": rename one of them`,
      );
    }
    workflows.set(workflow.name, { workflow, origin: value });
  }
  if (workflows.size > 0) {
    return [...workflows.keys()].toSorted().flatMap((name) => workflows.get(name)?.workflow ?? []);
  }
  const names = Object.keys(exported);
  throw new Error(
    `WORKFLOWS: ${path} exports no workflow${names.length > 0 ? `, only ${names.join(', ')}` : ''}. Write for example: export const hello = defineWorkflow({ name: 'hello', on: [{ event: 'push' }], async run(ctx) { … } })`,
  );
}

async function importModule(
  path: string,
  file: string,
): Promise<Readonly<Record<string, unknown>>> {
  const found = await stat(file).catch(() => null);
  if (found?.isFile() !== true) {
    throw new Error(
      `WORKFLOWS names ${path}, and there is no file ${file}: give the path of a .js or .mjs module`,
    );
  }
  if (!/\.[cm]?js$/.test(file)) {
    throw new Error(
      `WORKFLOWS names ${path}, which Node cannot import: compile it, and give the path of the .js or .mjs module`,
    );
  }
  try {
    return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const advice = reason.includes("package 'jobledger'")
      ? '. Keep the module in the folder of Jobledger, or install Jobledger where the module is: npm install <that folder>'
      : '';
    throw new Error(`WORKFLOWS: ${path} could not be imported: ${reason}${advice}`, {
      cause: error,
    });
  }
}

const looksLikeWorkflow = (value: unknown): value is WorkflowDefinition =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  'run' in value &&
  typeof value.run === 'function';

/** Runs the SDK's own checks, and those that TypeScript would have made. */
function checked(value: WorkflowDefinition, where: string): Workflow {
  const mistake = mistakeIn(value);
  if (mistake !== null) throw new Error(`WORKFLOWS: ${where}: ${mistake}`);
  try {
    const workflow = defineWorkflow(value);
    assertSchedules(workflow);
    return workflow;
  } catch (error) {
    throw new Error(`WORKFLOWS: ${where}: ${error instanceof Error ? error.message : ''}`, {
      cause: error,
    });
  }
}

function mistakeIn({ name, on, concurrency }: WorkflowDefinition): string | null {
  if (typeof name !== 'string') return 'its name is not a text';
  if (on !== undefined && !(Array.isArray(on) && on.every(isObject))) {
    return "on is not a list of matchers: write on: [{ event: 'push' }]";
  }
  if (concurrency === undefined || concurrency === null) return null;
  if (isObject(concurrency) && typeof concurrency.key === 'function') return null;
  return 'concurrency.key is not a function of a trigger';
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
