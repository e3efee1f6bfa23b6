/** What the client asks for: every field of the types in `types.ts`. */

const JOB = `
  id workflow status concurrencyKey priority attempt maxAttempts requestedAt startedAt finishedAt updatedAt
  nextAttemptAt result supersededBy workerId correlationId version position
  trigger {
    provider source deliveryId event action ref headSha baseSha sender paths morePaths
    comment { text author command }
    repository { fullName url cloneUrl }
    pullRequest { number title url headRepository baseBranch baseSha labels draft }
  }
  waitingFor { event key until approval { name approvers } }
  error { message name classification attempt at step }
  steps { name status attempt startedAt finishedAt output error }
  progress { percent message at }`;

const EVENT = 'id position jobId version type data causationId correlationId recordedAt';

const ERRORS = 'errors { code message field }';

export const DOCUMENTS = {
  job: `query ($id: ID!) { job(id: $id) { ${JOB} } }`,
  head: 'query { projections { head } }',
  requestJob: `mutation ($input: RequestJobInput!) {
    requestJob(input: $input) { job { ${JOB} } ${ERRORS} } }`,
  cancelJob: `mutation ($id: ID!, $reason: String, $expectedVersion: Int) {
    cancelJob(id: $id, reason: $reason, expectedVersion: $expectedVersion) { job { ${JOB} } ${ERRORS} } }`,
  retryJob: `mutation ($id: ID!, $fromStep: String, $expectedVersion: Int) {
    retryJob(id: $id, fromStep: $fromStep, expectedVersion: $expectedVersion) { job { ${JOB} } ${ERRORS} } }`,
  resumeJob: `mutation ($id: ID!, $payload: JSON, $expectedVersion: Int) {
    resumeJob(id: $id, payload: $payload, expectedVersion: $expectedVersion) { job { ${JOB} } ${ERRORS} } }`,
  answerApproval: `mutation ($id: ID!, $approved: Boolean!, $comment: String, $expectedVersion: Int) {
    answerApproval(id: $id, approved: $approved, comment: $comment, expectedVersion: $expectedVersion) { job { ${JOB} } ${ERRORS} } }`,
  sendSignal: `mutation ($event: String!, $key: String, $payload: JSON, $id: ID) {
    sendSignal(event: $event, key: $key, payload: $payload, id: $id) { resumed stored ${ERRORS} } }`,
  jobUpdated: `subscription ($id: ID!) { jobUpdated(id: $id) { ${JOB} } }`,
  jobEvents: `subscription ($after: Position, $types: [String!], $jobId: ID) {
    jobEvents(after: $after, types: $types, jobId: $jobId) { ${EVENT} } }`,
} as const;
