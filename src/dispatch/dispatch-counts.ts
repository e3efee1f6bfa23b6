/** What the dispatcher has done since it started; for the logs and the metrics. */
export class DispatchCounts {
  hints = 0;
  /** Hints that were published again, because nobody took the job. */
  repeatedHints = 0;
  waitRequests = 0;
  superseded = 0;
  resumed = 0;
  timedOut = 0;
  expired = 0;
  /** Jobs that their rate let start. */
  granted = 0;
  /** Jobs that a schedule started. */
  scheduled = 0;
  interrupted = 0;
  signals = 0;
  relayed = 0;
  /** Commands that came too late: the job had moved on. */
  movedOn = 0;
}
