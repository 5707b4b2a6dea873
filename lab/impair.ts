// Makes lines of the lab bad, where the kernel can, and good again.

import { CommandError } from '#lib/linux';
import type { Lab } from './lab.ts';
import { netemWords, type Impairment } from './netem.ts';

/** One direction of a wire: what a place sends out of a device. */
export interface Line {
  readonly place: string;
  readonly device: string;
}

/**
 * Makes a line bad from now on, instead of however it was impaired before.
 * @throws {RangeError} if a line cannot be so. @throws {Error} if the kernel has no netem, or the line is capped by the scenario
 */
export async function impair(lab: Lab, line: Line, impairment: Impairment): Promise<void> {
  const { place, device } = line;
  if (place === 'internet' && lab.layout.scenario.internet.flowMbps > 0)
    throw new Error(
      `Cannot impair "${device}" of ${place}: the scenario's flowMbps is kept by the same queue`,
    );
  const argv = ['tc', 'qdisc', 'replace', 'dev', device, 'root', 'netem'] as const;
  await lab
    .place(place)
    .exec([...argv, ...netemWords(impairment)])
    .catch((cause: unknown) => {
      throw isWithoutNetem(cause)
        ? new Error(
            `Cannot impair "${device}" of ${place}: this kernel has no netem. A stock kernel has it: npm run lab -- vm COMMAND`,
            { cause },
          )
        : cause;
    });
}

/** Makes a line good again; what was under way on it is lost. */
export async function mend(lab: Lab, { place, device }: Line): Promise<void> {
  await lab.place(place).exec(['tc', 'qdisc', 'del', 'dev', device, 'root']);
}

function isWithoutNetem(error: unknown): boolean {
  return error instanceof CommandError && /qdisc kind is unknown|qdisc not found/i.test(error.stderr);
}
