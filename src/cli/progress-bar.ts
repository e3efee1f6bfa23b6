import type { RebuildProgress } from '../projections/rebuild-progress.ts';

const WIDTH = 24;
/** Without a terminal, one line per so long. */
const LINE_EVERY_MS = 5_000;
const REDRAW_EVERY_MS = 100;

/** Shows a rebuild on standard error: events, events per second, percent, time left. */
export function progressBar(): Readonly<{
  show: (progress: RebuildProgress) => void;
  end: () => void;
}> {
  const { isTTY } = process.stderr;
  let shownAt = -Infinity;
  let phase = '';
  return {
    show: (progress) => {
      const now = performance.now();
      const every = isTTY ? REDRAW_EVERY_MS : LINE_EVERY_MS;
      const moved = `${progress.name} ${progress.phase}` !== phase;
      if (!moved && now - shownAt < every) return;
      shownAt = now;
      phase = `${progress.name} ${progress.phase}`;
      const line = lineOf(progress);
      process.stderr.write(isTTY ? `\r\u001b[2K${line}` : `${line}\n`);
    },
    end: () => {
      if (isTTY) process.stderr.write('\n');
    },
  };
}

function lineOf(progress: RebuildProgress): string {
  const { name, phase, events, eventsPerSecond, percent, secondsLeft } = progress;
  const full = Math.round((percent / 100) * WIDTH);
  const bar = `${'█'.repeat(full)}${'░'.repeat(WIDTH - full)}`;
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
  const rate = `${String(events)} events, ${String(eventsPerSecond)}/s`;
  return `${name.padEnd(10)} ${phase.padEnd(9)} ${bar} ${percent.toFixed(1).padStart(5)} %  ${rate}${left}`;
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes === 0 ? `${String(whole)} s` : `${String(minutes)} min ${String(whole % 60)} s`;
}
