// Says what the demo is doing, step by step, to a person; says nothing where only the result is wanted.

import process from 'node:process';

/** Where the demo tells its story. */
export interface Progress {
  /** Runs one step and says how it went and how long it took; the step's value is handed through. */
  step<T>(what: string, work: () => Promise<Done<T>>): Promise<T>;
  /** Lines that belong to the step before. */
  show(lines: readonly string[]): void;
}

export interface Done<T> {
  readonly value: T;
  /** What came of it, in a few words; takes the place of what was being done. */
  readonly said: string;
}

/** For `--json`. */
export const SILENT: Progress = {
  step: async (_what, work) => (await work()).value,
  show: () => {},
};

/** For people: one line a step, which on a terminal moves while the step runs. */
export function progress(output: NodeJS.WriteStream = process.stdout): Progress {
  return {
    step: async (what, work) => {
      const started = performance.now();
      const wheel = output.isTTY ? turn(output, what) : undefined;
      const end = (line: string): void => {
        if (wheel !== undefined) clearInterval(wheel);
        output.write(`${output.isTTY ? CLEAR : ''}${line}\n`);
      };
      try {
        const { value, said } = await work();
        end(`✓ ${said} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
        return value;
      } catch (error) {
        end(`✗ ${what}`);
        throw error;
      }
    },
    show: (lines) => output.write(`\n${lines.map((line) => `  ${line}`.trimEnd()).join('\n')}\n\n`),
  };
}

const CLEAR = '\r\u001B[K';
const FRAMES = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';

/** No library's spinner: those take Ctrl-C for themselves, and the demo has to clean up first. */
function turn(output: NodeJS.WriteStream, what: string): NodeJS.Timeout {
  let at = 0;
  const draw = (): void => {
    output.write(`${CLEAR}${FRAMES[at++ % FRAMES.length]} ${what}`);
  };
  draw();
  return setInterval(draw, 100).unref();
}
