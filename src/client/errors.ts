type Fault = Readonly<{ code: string; message: string; field?: readonly string[] | null }>;

/**
 * What the server, or the way to it, did not do. `code` is the server's own (`NOT_FOUND`, `UNAUTHENTICATED`,
 * `JOB_FINISHED` …), or `UNREACHABLE` when it gave no answer, `REFUSED` when what answered is no Jobledger, `CLOSED`
 * and `TOO_MANY_STREAMS` by the client itself.
 */
export class JobledgerError extends Error {
  override readonly name = 'JobledgerError';
  readonly code: string;
  /** Everything that the server said, the first of which is the error's own code and message. */
  readonly errors: readonly Fault[];

  constructor(fault: Fault, options?: ErrorOptions & Readonly<{ errors?: readonly Fault[] }>) {
    super(fault.message, options);
    this.code = fault.code;
    this.errors = options?.errors ?? [fault];
  }
}

type GraphqlError = Readonly<{
  message: string;
  extensions?: Readonly<Record<string, unknown>> | undefined;
}>;

/** The error of an answer's `errors`. */
export function answered(errors: readonly GraphqlError[]): JobledgerError {
  const faults = errors.map(({ message, extensions }) => {
    const code = extensions?.['code'];
    return { code: typeof code === 'string' ? code : 'UNKNOWN', message };
  });
  return refusal(faults);
}

/** The error of a list that is not empty. */
export function refusal(errors: readonly Fault[]): JobledgerError {
  const [first = { code: 'UNKNOWN', message: 'The server gave an error without a text' }] = errors;
  return new JobledgerError(first, { errors });
}

export const unreachable = (what: string, cause?: unknown): JobledgerError =>
  new JobledgerError({ code: 'UNREACHABLE', message: what }, { cause });

export const unauthenticated = (url: string, hasKey: boolean): JobledgerError =>
  new JobledgerError({
    code: 'UNAUTHENTICATED',
    message: hasKey
      ? `${url} does not know the API key (closed with 4403): check \`key\``
      : `${url} serves nobody without an API key (closed with 4403): createClient({ url, key })`,
  });

/** Whether another try may help. */
export const isTransient = ({ code }: JobledgerError): boolean =>
  code === 'UNREACHABLE' || code === 'INTERNAL';
