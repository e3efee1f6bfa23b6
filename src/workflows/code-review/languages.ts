/** The languages that `@ast-grep/napi` brings along, and the files that are written in each. */
const EXTENSIONS = {
  TypeScript: ['ts', 'mts', 'cts'],
  Tsx: ['tsx'],
  JavaScript: ['js', 'mjs', 'cjs', 'jsx'],
  Html: ['html', 'htm'],
  Css: ['css'],
} as const;

export type Language = keyof typeof EXTENSIONS;

const LANGUAGES: ReadonlyMap<string, Language> = new Map(
  Object.entries(EXTENSIONS).flatMap(([language, extensions]) =>
    extensions.map((extension) => [extension, language as Language] as const),
  ),
);

export const isLanguage = (text: unknown): text is Language =>
  typeof text === 'string' && Object.hasOwn(EXTENSIONS, text);

/** By the extension, in lower case as compilers want it; null for what no rule can read. */
export function languageOf(path: string): Language | null {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return LANGUAGES.get(name.slice(name.lastIndexOf('.') + 1)) ?? null;
}

/** The files that a rule is for: what is wrong in JavaScript is wrong in TypeScript too. */
export const appliesTo: Readonly<Record<Language, readonly Language[]>> = {
  JavaScript: ['JavaScript', 'TypeScript', 'Tsx'],
  TypeScript: ['TypeScript', 'Tsx'],
  Tsx: ['Tsx'],
  Html: ['Html'],
  Css: ['Css'],
};

/** Lets git look at these files only. */
export const PATHSPECS: readonly string[] = [...LANGUAGES.keys()].map(
  (extension) => `:(glob)**/*.${extension}`,
);
