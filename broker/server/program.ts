// The nats-server program on this machine: whether it is there, and new enough.

import type { Run } from '#lib/linux';
import { CommandError } from '#lib/linux';

/** 2.11: pages of direct gets, per-message TTL, and the oldest line with the fixes of 2026. */
const MINIMUM_VERSION: readonly [number, number] = [2, 11];

const NEXT = 'Install nats-server 2.11 or newer, or name one with --nats-server';

/**
 * Checks the program and gives its version.
 * @throws {Error} with the next step
 */
export async function checkProgram(run: Run, program: string, minimum = MINIMUM_VERSION): Promise<string> {
  const version = /v(\d+)\.(\d+)\.\S+/.exec(await ask(run, program));
  if (version === null)
    throw new Error(`Cannot use "${program}": it does not say that it is nats-server. ${NEXT}`);
  const [text, major, minor] = version;
  const [wantedMajor, wantedMinor] = minimum;
  if (Number(major) < wantedMajor || (Number(major) === wantedMajor && Number(minor) < wantedMinor)) {
    throw new Error(
      `Cannot use "${program}": it is ${text}, older than v${wantedMajor}.${wantedMinor}. ${NEXT}`,
    );
  }
  return text.slice(1);
}

/** Has the server judge a configuration file. @throws {Error} with what it says */
export async function checkConfiguration(run: Run, program: string, file: string): Promise<void> {
  try {
    await run({ argv: [program, '-t', '-c', file], timeoutMs: 10_000 });
  } catch (error) {
    const said = error instanceof CommandError ? error.stderr.trim().split('\n').at(-1) : undefined;
    throw new Error(`Cannot use "${file}": nats-server refuses it${said === undefined ? '' : `: ${said}`}`, {
      cause: error,
    });
  }
}

async function ask(run: Run, program: string): Promise<string> {
  try {
    return await run({ argv: [program, '--version'], timeoutMs: 10_000 });
  } catch (error) {
    if (error instanceof CommandError && error.isMissing) {
      throw new Error(`Cannot start the broker: "${program}" is not installed. ${NEXT}`, { cause: error });
    }
    throw error;
  }
}
