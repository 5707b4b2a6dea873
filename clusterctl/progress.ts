// Steps of long work, as they happen.

import process from 'node:process';
import type { Context } from './context.ts';

/** Runs one step under its title, and passes on what it gives or throws. */
export type Progress = <T>(title: string, step: () => Promise<T>) => Promise<T>;

/** On a terminal a spinner, elsewhere one line a step. */
export function startProgress({ terminal }: Context): Progress {
  return terminal.isInteractive
    ? spin
    : async (title, step) => {
        terminal.say(title);
        return await step();
      };
}

async function spin<T>(title: string, step: () => Promise<T>): Promise<T> {
  const { spinner } = await import('@clack/prompts');
  const mark = spinner({ indicator: 'timer', output: process.stderr });
  mark.start(title);
  try {
    const result = await step();
    mark.stop(title);
    return result;
  } catch (error) {
    mark.error(title);
    throw error;
  }
}
