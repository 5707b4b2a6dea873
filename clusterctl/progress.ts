// Steps of long work, as they happen.

import process from 'node:process';
import type { Context } from './context.ts';

/** Runs one step under its title, and passes on what it gives or throws. */
export type Progress = <T>(title: string, step: () => Promise<T>) => Promise<T>;

/** On a terminal a line that moves while the step runs, elsewhere one line a step. */
export function startProgress({ terminal }: Context): Progress {
  return terminal.isInteractive
    ? turn
    : async (title, step) => {
        terminal.say(title);
        return await step();
      };
}

const FRAMES = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const CLEAR = '\r\u001B[K';

/** No library's spinner: those take Ctrl-C for themselves and end the process with 0, in the middle of the step. */
async function turn<T>(title: string, step: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const write = (mark: string, end = ''): void => {
    const seconds = Math.floor((performance.now() - started) / 1000);
    process.stderr.write(`${CLEAR}${mark} ${title}${seconds === 0 ? '' : ` ${seconds} s`}${end}`);
  };
  let at = 0;
  const wheel = setInterval(() => write(FRAMES[at++ % FRAMES.length] ?? ''), 100);
  try {
    const result = await step();
    write('✓', '\n');
    return result;
  } catch (error) {
    write('✗', '\n');
    throw error;
  } finally {
    clearInterval(wheel);
  }
}
