// The web page: three views over the GraphQL API, kept up to date by subscriptions. No build, no dependencies.

const STATUSES = [
  'REQUESTED',
  'RUNNING',
  'PAUSED',
  'RETRYING',
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'SUPERSEDED',
];
const MARKS = {
  REQUESTED: '○',
  RUNNING: '▶',
  PAUSED: '⏸',
  RETRYING: '↻',
  COMPLETED: '✓',
  FAILED: '✗',
  CANCELLED: '⊘',
  SUPERSEDED: '⇥',
};
const JOB_ROW =
  'id workflow status requestedAt startedAt finishedAt trigger { repository { fullName } pullRequest { number title } ref headSha sender }';

const page = document.querySelector('#page');
const badge = document.querySelector('#connection');

// ---- the API ---------------------------------------------------------------------------------------------------

const key = () => sessionStorage.getItem('key');

async function askForKey() {
  const dialog = document.querySelector('#key-dialog');
  const input = document.querySelector('#key');
  if (!dialog.open) dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  sessionStorage.setItem('key', input.value);
  input.value = '';
}

async function query(text, variables = {}) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key() ? { authorization: `Bearer ${key()}` } : {}),
    },
    body: JSON.stringify({ query: text, variables }),
  });
  if (response.status === 401) {
    await askForKey();
    return query(text, variables);
  }
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors.map(({ message }) => message).join('; '));
  return data;
}

/** Subscriptions over one WebSocket that comes back by itself; each is told when it has to look again. */
const live = {
  socket: null,
  tries: 0,
  next: 0,
  subscriptions: new Map(),
  subscribe(text, variables, { onData, onAgain }) {
    const id = String(this.next++);
    this.subscriptions.set(id, { payload: { query: text, variables }, onData, onAgain });
    if (this.ready) this.send({ type: 'subscribe', id, payload: { query: text, variables } });
    else this.connect();
    return () => {
      if (this.subscriptions.delete(id) && this.ready) this.send({ type: 'complete', id });
    };
  },
  send(message) {
    this.socket.send(JSON.stringify(message));
  },
  connect() {
    if (this.socket) return;
    const address = new URL('/graphql', location.href);
    address.protocol = address.protocol.replace('http', 'ws');
    const socket = new WebSocket(address, 'graphql-transport-ws');
    this.socket = socket;
    socket.onopen = () =>
      this.send({
        type: 'connection_init',
        payload: key() ? { authorization: `Bearer ${key()}` } : {},
      });
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      this.ready = false;
      this.socket = null;
      badge.textContent = 'reconnecting';
      const delay = Math.min(10_000, 250 * 2 ** this.tries++) * (0.5 + Math.random() / 2);
      const again =
        code === 4403 ? askForKey() : new Promise((resolve) => setTimeout(resolve, delay));
      again.then(() => this.connect());
    };
  },
  receive({ type, id, payload }) {
    if (type === 'connection_ack') {
      badge.textContent = 'live';
      this.ready = true;
      const again = this.tries > 0;
      this.tries = 0;
      for (const [each, { payload: request, onAgain }] of this.subscriptions) {
        this.send({ type: 'subscribe', id: each, payload: request });
        if (again) onAgain?.();
      }
    } else if (type === 'ping') this.send({ type: 'pong' });
    else if (type === 'next') this.subscriptions.get(id)?.onData(payload.data);
    else if (type === 'complete' || type === 'error') this.subscriptions.delete(id);
  },
};

// ---- elements --------------------------------------------------------------------------------------------------

/** An element; text stays text, so nothing from a payload becomes markup. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (attribute.startsWith('on')) element.addEventListener(attribute.slice(2), value);
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(attribute, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const status = (value) =>
  el('span', { class: `status ${value}` }, `${MARKS[value] ?? ''} ${value.toLowerCase()}`);
const time = (value) =>
  value ? el('time', { datetime: value, title: value }, new Date(value).toLocaleString()) : '';
const json = (value) => el('pre', { tabindex: '0' }, JSON.stringify(value, null, 2));
const facts = (rows) =>
  el(
    'dl',
    { class: 'facts' },
    rows
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]),
  );

function table(columns, rows, empty) {
  if (rows.length === 0) return el('div', { class: 'empty' }, empty);
  return el(
    'table',
    {},
    el(
      'thead',
      {},
      el(
        'tr',
        {},
        columns.map((column) => el('th', { scope: 'col' }, column)),
      ),
    ),
    el('tbody', {}, rows),
  );
}

const row = (...cells) =>
  el(
    'tr',
    {},
    cells.map((cell) => el('td', {}, cell)),
  );

function lasted({ startedAt, finishedAt }) {
  if (!startedAt) return '';
  const ms = (finishedAt ? new Date(finishedAt) : new Date()) - new Date(startedAt);
  return ms < 1000
    ? `${ms} ms`
    : ms < 60_000
      ? `${(ms / 1000).toFixed(1)} s`
      : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

// ---- jobs ------------------------------------------------------------------------------------------------------

function jobsPage(parameters) {
  const filter = {
    ...(parameters.get('status') ? { status: [parameters.get('status')] } : {}),
    ...(parameters.get('search') ? { search: parameters.get('search') } : {}),
  };
  const jobs = new Map();
  const list = el('div', { 'aria-live': 'off' });
  const cards = el('div', { class: 'cards' });
  const more = el('button', { onclick: () => load(cursor) }, 'Older jobs');
  let cursor = null;

  const go = (change) => {
    const next = new URLSearchParams(parameters);
    for (const [name, value] of Object.entries(change))
      value ? next.set(name, value) : next.delete(name);
    location.hash = `#/jobs?${next}`;
  };
  const tools = el(
    'form',
    {
      class: 'tools',
      onsubmit: (event) => {
        event.preventDefault();
        go({ search: event.target.elements.search.value });
      },
    },
    el(
      'label',
      {},
      'Status',
      el(
        'select',
        { onchange: (event) => go({ status: event.target.value }) },
        el('option', { value: '' }, 'all'),
        STATUSES.map((each) =>
          el(
            'option',
            { value: each, selected: parameters.get('status') === each ? '' : null },
            each.toLowerCase(),
          ),
        ),
      ),
    ),
    el(
      'label',
      {},
      'Search',
      el('input', {
        name: 'search',
        type: 'search',
        value: parameters.get('search') ?? '',
        placeholder: 'repository, title, sender, error, id',
      }),
    ),
    el('button', {}, 'Search'),
  );

  function render() {
    const rows = [...jobs.values()].sort((a, b) => (a.requestedAt < b.requestedAt ? 1 : -1));
    list.replaceChildren(
      table(
        ['Job', 'Status', 'Repository', 'Subject', 'Requested', 'Ran for'],
        rows.map((job) => {
          const { repository, pullRequest, ref, sender } = job.trigger;
          const subject = pullRequest
            ? `#${pullRequest.number} ${pullRequest.title ?? ''}`
            : (ref ?? '');
          return row(
            el('a', { href: `#/jobs/${job.id}` }, job.workflow),
            status(job.status),
            repository?.fullName ?? '',
            `${subject}${sender ? ` · ${sender}` : ''}`,
            time(job.requestedAt),
            lasted(job),
          );
        }),
        'No jobs here. This makes one:  node dist/cli/main.js webhooks send --sample',
      ),
    );
    more.hidden = cursor === null;
  }

  async function load(after = null) {
    const {
      jobs: { nodes, pageInfo },
    } = await query(
      `query ($filter: JobFilter, $after: String) { jobs(filter: $filter, first: 50, after: $after) { nodes { ${JOB_ROW} } pageInfo { hasNextPage endCursor } } }`,
      { filter, after },
    );
    for (const job of nodes) jobs.set(job.id, job);
    cursor = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    render();
  }

  function count({ total, byStatus }) {
    cards.replaceChildren(
      el('a', { href: '#/jobs' }, el('strong', {}, String(total)), 'in the last hour'),
      ...byStatus.map(({ status: each, count: many }) =>
        el(
          'a',
          { href: `#/jobs?status=${each}`, class: each },
          el('strong', {}, String(many)),
          each.toLowerCase(),
        ),
      ),
    );
  }

  page.replaceChildren(el('h1', {}, 'Jobs'), cards, tools, list, el('p', {}, more));
  const stops = [
    live.subscribe(
      `subscription ($filter: JobFilter) { jobsUpdated(filter: $filter) { ${JOB_ROW} } }`,
      { filter },
      {
        onData: ({ jobsUpdated }) => {
          jobs.set(jobsUpdated.id, jobsUpdated);
          render();
        },
        onAgain: () => load(),
      },
    ),
    live.subscribe(
      'subscription { jobStatsUpdated { total byStatus { status count } } }',
      {},
      { onData: ({ jobStatsUpdated }) => count(jobStatsUpdated) },
    ),
  ];
  load().catch(show);
  return () => stops.forEach((stop) => stop());
}

// ---- one job ---------------------------------------------------------------------------------------------------

const JOB = `id workflow status concurrencyKey priority attempt maxAttempts requestedAt startedAt finishedAt nextAttemptAt result supersededBy workerId version position
  waitingFor { event key until approval { name approvers } } error { name message classification attempt at step } progress { percent message }
  trigger { source deliveryId event action sender ref headSha baseSha repository { fullName url } pullRequest { number title url headRepository baseBranch } }
  steps { name status attempt startedAt finishedAt output error }
  history(first: 100) { nodes { version position type recordedAt data } }`;

const asksForApproval = ({ waitingFor }) => Boolean(waitingFor?.approval);

/** By mutation; `given` are arguments beside the job's id and version. */
const ACTIONS = {
  approve: {
    name: 'Approve',
    mutation: 'answerApproval',
    given: 'approved: true, ',
    when: ['PAUSED'],
    if: asksForApproval,
  },
  reject: {
    name: 'Reject',
    mutation: 'answerApproval',
    given: 'approved: false, ',
    when: ['PAUSED'],
    if: asksForApproval,
    ask: 'Reject what this job asks for?',
  },
  cancelJob: {
    name: 'Cancel',
    when: ['REQUESTED', 'RUNNING', 'PAUSED', 'RETRYING'],
    ask: 'Cancel this job?',
  },
  retryJob: { name: 'Retry', when: ['COMPLETED', 'FAILED', 'CANCELLED', 'RETRYING'] },
  resumeJob: {
    name: 'Resume by hand',
    when: ['PAUSED'],
    ask: 'End the wait by hand, without a payload?',
  },
};

function jobPage(id) {
  const body = el('div');
  const said = el('p', { class: 'problem', role: 'status' });
  let stop = () => {};
  let loading = null;

  async function act(name, expectedVersion) {
    const { ask, mutation = name, given = '' } = ACTIONS[name];
    if (ask && !confirm(ask)) return;
    const {
      [mutation]: { errors },
    } = await query(
      `mutation ($id: ID!, $version: Int) { ${mutation}(${given}id: $id, expectedVersion: $version) { errors { message } } }`,
      { id, version: expectedVersion },
    );
    said.textContent = errors.map(({ message }) => message).join('; ');
    watch();
  }

  function render(job) {
    if (!job) {
      body.replaceChildren(el('div', { class: 'empty' }, `There is no job ${id}.`));
      return;
    }
    const { trigger, waitingFor, error, progress } = job;
    const pull = trigger.pullRequest;
    body.replaceChildren(
      el('h1', {}, `${job.workflow} `, status(job.status)),
      el(
        'div',
        { class: 'tools' },
        Object.entries(ACTIONS)
          .filter(([, action]) => action.when.includes(job.status) && (action.if?.(job) ?? true))
          .map(([name, action]) =>
            el('button', { onclick: () => act(name, job.version).catch(show) }, action.name),
          ),
      ),
      facts([
        ['Repository', trigger.repository?.fullName],
        ['Pull request', pull && `#${pull.number} ${pull.title ?? ''}`],
        ['Ref', trigger.ref],
        ['Head', trigger.headSha && el('code', {}, trigger.headSha)],
        [
          'Trigger',
          `${trigger.event} ${trigger.action}${trigger.sender ? ` by ${trigger.sender}` : ''}`,
        ],
        ['Attempt', `${job.attempt} of ${job.maxAttempts}`],
        ['Progress', progress && `${progress.percent} % ${progress.message ?? ''}`],
        ['Requested', time(job.requestedAt)],
        ['Started', time(job.startedAt)],
        ['Finished', time(job.finishedAt)],
        ['Ran for', lasted(job)],
        [
          'Waits for',
          waitingFor &&
            `${waitingFor.event}${waitingFor.approval?.approvers ? ` of ${waitingFor.approval.approvers.join(' or ')}` : waitingFor.key ? ` (${waitingFor.key})` : ''}${waitingFor.until ? `, until ${new Date(waitingFor.until).toLocaleString()}` : ''}`,
        ],
        ['Next attempt', time(job.nextAttemptAt)],
        ['Worker', job.workerId && el('code', {}, job.workerId)],
        [
          'Superseded by',
          job.supersededBy && el('a', { href: `#/jobs/${job.supersededBy}` }, job.supersededBy),
        ],
        [
          job.status === 'FAILED' ? 'Error' : 'Last error',
          error &&
            el(
              'span',
              { class: 'problem' },
              `${error.message} (${error.classification.toLowerCase()}, attempt ${error.attempt}${error.step ? `, step ${error.step}` : ''})`,
            ),
        ],
        ['Id', el('code', {}, job.id)],
      ]),
      // replaceChildren would write null as text.
      ...(job.result === null ? [] : [el('h2', {}, 'Result'), result(job.result)]),
      el('h2', {}, 'Steps'),
      table(
        ['Step', 'Status', 'Attempt', 'Ran for', 'Output'],
        job.steps.map((step) =>
          row(
            step.name,
            status(step.status),
            String(step.attempt),
            lasted(step),
            step.error ?? folded(step.output),
          ),
        ),
        'No step has begun.',
      ),
      el('h2', {}, 'History'),
      table(
        ['Version', 'Position', 'Event', 'At', 'Data'],
        job.history.nodes.map((event) =>
          row(
            String(event.version),
            event.position,
            event.type,
            time(event.recordedAt),
            folded(event.data),
          ),
        ),
        '',
      ),
    );
  }

  async function load() {
    // One at a time, and once more when something came meanwhile.
    if (loading) {
      loading.again = true;
      return;
    }
    loading = { again: false };
    try {
      render((await query(`query ($id: ID!) { job(id: $id) { ${JOB} } }`, { id })).job);
    } finally {
      const { again } = loading;
      loading = null;
      if (again) load();
    }
  }

  function watch() {
    stop();
    stop = live.subscribe(
      'subscription ($id: ID!) { jobUpdated(id: $id) { version } }',
      { id },
      { onData: () => load().catch(show), onAgain: () => load().catch(show) },
    );
  }

  page.replaceChildren(said, body);
  load().catch(show);
  watch();
  return () => stop();
}

const folded = (value) =>
  value === null ? '' : el('details', {}, el('summary', {}, 'show'), json(value));

/** Findings as a table, anything else as it is. */
function result(value) {
  const { findings, ...rest } = value ?? {};
  if (!Array.isArray(findings)) return json(value);
  return el(
    'div',
    {},
    table(
      ['Where', 'Rule', 'Severity', 'Message'],
      findings.map((each) =>
        row(
          el('code', {}, `${each.file}:${each.line}`),
          each.rule,
          each.severity ?? '',
          each.message,
        ),
      ),
      'No findings.',
    ),
    el('details', {}, el('summary', {}, 'the rest'), json(rest)),
  );
}

// ---- deliveries, system ----------------------------------------------------------------------------------------

async function deliveriesPage() {
  const {
    deliveries: { nodes },
  } = await query(
    '{ deliveries(first: 50) { nodes { id deliveryId source event action outcome reason receivedAt jobs { id workflow status } } } }',
  );
  page.replaceChildren(
    el('h1', {}, 'Deliveries'),
    table(
      ['Received', 'Source', 'Event', 'Outcome', 'Jobs', 'Id'],
      nodes.map((each) =>
        row(
          time(each.receivedAt),
          each.source,
          `${each.event} ${each.action ?? ''}`,
          each.reason
            ? `${each.outcome.toLowerCase()}: ${each.reason}`
            : each.outcome.toLowerCase(),
          el(
            'span',
            {},
            each.jobs.map((job) => el('a', { href: `#/jobs/${job.id}` }, `${job.workflow} `)),
          ),
          el('code', {}, each.deliveryId),
        ),
      ),
      'No webhook has come yet.',
    ),
  );
}

async function systemPage() {
  const data = await query(
    '{ projections { name version status position lag eventsPerSecond error } workers { id host running concurrency draining lastSeenAt version } queues { name ready consumers } }',
  );
  page.replaceChildren(
    el('h1', {}, 'System'),
    el('h2', {}, 'Workers'),
    table(
      ['Id', 'Host', 'Running', 'Last seen', 'Version'],
      data.workers.map((each) =>
        row(
          el('code', {}, each.id),
          each.host,
          `${each.running} of ${each.concurrency}${each.draining ? ', draining' : ''}`,
          time(each.lastSeenAt),
          each.version ?? '',
        ),
      ),
      'No worker is running: no job will start.',
    ),
    el('h2', {}, 'Projections'),
    table(
      ['Name', 'Version', 'Status', 'Position', 'Behind', 'Error'],
      data.projections.map((each) =>
        row(
          each.name,
          String(each.version),
          each.status.toLowerCase(),
          each.position,
          String(each.lag),
          each.error ?? '',
        ),
      ),
      '',
    ),
    el('h2', {}, 'Queues'),
    table(
      ['Name', 'Ready', 'Consumers'],
      data.queues.map((each) =>
        row(each.name, String(each.ready ?? ''), String(each.consumers ?? '')),
      ),
      '',
    ),
  );
}

function every(ms, load) {
  let timer;
  const again = () =>
    load()
      .catch(show)
      .then(() => {
        timer = setTimeout(again, ms);
      });
  again();
  return () => clearTimeout(timer);
}

// ---- where we are ----------------------------------------------------------------------------------------------

function show(error) {
  page.prepend(el('p', { class: 'problem', role: 'alert' }, error.message));
}

let leave = () => {};
function route() {
  leave();
  const [path, search] = (location.hash.slice(1) || '/jobs').split('?');
  const [, name, id] = path.split('/');
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#/${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (name === 'jobs' && id) leave = jobPage(id);
  else if (name === 'deliveries') leave = every(5_000, deliveriesPage);
  else if (name === 'system') leave = every(2_000, systemPage);
  else leave = jobsPage(new URLSearchParams(search));
}
addEventListener('hashchange', () => {
  route();
  page.focus();
});
addEventListener('keydown', ({ key: pressed, target }) => {
  if (pressed === '/' && target === document.body)
    setTimeout(() => document.querySelector('input[type=search]')?.focus());
});
route();
