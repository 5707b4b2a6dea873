// What set-up tells the person who waits for it.

import process from 'node:process';

/** A set-up step that cannot succeed for a reason that a person can mend: shown without a stack. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
}

/** One line on stderr, so that `--json` output stays alone on stdout. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
