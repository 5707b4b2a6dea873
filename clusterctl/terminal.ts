// Where the command line talks: results on stdout, everything said to a person on stderr.

import process from 'node:process';
import { styleText } from 'node:util';
import type { Style } from './table.ts';

export interface Terminal {
  /** Results, which may be piped. */
  out(text: string): void;
  /** Erases what stdout shows and begins at its top, where it is a terminal. */
  clear(): void;
  /** One line for the person who waits. */
  say(line: string): void;
  paint(style: Style, text: string): string;
  /** Somebody can answer a question. */
  readonly isInteractive: boolean;
}

const STYLES = { head: 'bold', good: 'green', bad: 'red', faint: 'dim' } as const;

/** The real one. Colour only where stdout is a terminal and NO_COLOR does not forbid it, which styleText looks after. */
export function openTerminal(): Terminal {
  // Whoever reads our output may have seen enough, as head(1) does: that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  return {
    out: (text) => void process.stdout.write(text),
    clear: () => void (process.stdout.isTTY && process.stdout.write('\u001B[2J\u001B[H')),
    say: (line) => void process.stderr.write(`${line}\n`),
    paint: (style, text) => styleText(STYLES[style], text, { stream: process.stdout }),
    isInteractive: process.stdin.isTTY && process.stderr.isTTY,
  };
}
