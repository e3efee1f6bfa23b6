/**
 * Who may import whom. Read each line as "<folder> may import only <folders>";
 * node_modules are governed by `pure` and `framework-free` below.
 */
const MAY_IMPORT = {
  events: [],
  sdk: [],
  hosts: ['sdk'],
  platform: [],
  'event-store': ['events', 'platform'],
  messaging: ['platform'],
  write: ['events', 'event-store', 'platform'],
  projections: ['events', 'event-store', 'platform'],
  read: ['events', 'event-store', 'platform'],
  mirror: ['events', 'event-store', 'platform'],
  archive: ['events', 'event-store', 'platform'],
  privacy: ['events', 'event-store', 'platform'],
  ingress: ['events', 'hosts', 'sdk', 'messaging', 'write', 'platform'],
  dispatch: ['events', 'event-store', 'messaging', 'write', 'platform'],
  workers: ['events', 'sdk', 'messaging', 'write', 'platform'],
  workflows: ['hosts', 'sdk'],
  testing: ['events', 'event-store', 'sdk', 'workers', 'write', 'platform'],
  client: [],
};
/** Nobody imports these; they may import anything. */
const ROOTS = ['cli', 'processes'];

const FRAMEWORK_FILES = String.raw`\.(module|controller|resolver|guard|filter|handler)\.ts$`;
const RULES_FILES = String.raw`^src/(events/|sdk/|write/(decider|rejected|[^/]+/(commands|decider|retry-delay))\.ts)`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
      name: `${folder}-imports`,
      comment: `src/${folder} may import only: ${allowed.join(', ') || 'nothing'}`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: [`^src/(${[folder, ...allowed].join('|')})/`] },
    })),
    {
      name: 'known-folder',
      comment: 'A new top-level folder needs a line in MAY_IMPORT.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: [`^src/(${[...Object.keys(MAY_IMPORT), ...ROOTS].join('|')})/`],
      },
      to: {},
    },
    {
      name: 'pure',
      comment: 'Events, deciders and the SDK import no package and no Node module.',
      severity: 'error',
      from: { path: RULES_FILES },
      to: {
        dependencyTypes: ['npm', 'npm-dev', 'npm-peer', 'npm-optional', 'npm-no-pkg', 'core'],
      },
    },
    {
      name: 'framework-free',
      comment:
        'Only *.module, *.controller, *.resolver, *.guard, *.filter and *.handler files, and processes, know Nest.',
      severity: 'error',
      from: { path: '^src/', pathNot: [FRAMEWORK_FILES, '^src/processes/'] },
      to: { path: 'node_modules/@nestjs/' },
    },
    {
      name: 'write-door',
      comment:
        'Outside src/write, only its door, its commands, its Rejected error, what it tells of ready jobs and its module may be imported; the testing kit puts its rules together like a process does.',
      severity: 'error',
      from: { path: '^src/(?!write/|testing/|cli/|processes/)' },
      to: {
        path: '^src/write/',
        pathNot: [
          String.raw`/(door|commands|rejected|prompt-hints)\.ts$`,
          String.raw`write\.module\.ts$`,
        ],
      },
    },
    {
      name: 'no-root-imports',
      comment: 'Nothing imports the composition roots.',
      severity: 'error',
      from: { path: '^src/', pathNot: [`^src/(${ROOTS.join('|')})/`] },
      to: { path: `^src/(${ROOTS.join('|')})/` },
    },
    {
      name: 'no-test-imports',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^test/' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'not-dev',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
