// Sets the wall clock, which no namespace has of its own: only in a virtual machine of the tests'.

import fs from 'node:fs/promises';
import { runCommand } from '#lib/linux';
import { GUEST_MARK } from '../vm/guest.ts';
import { faultOf, type Fault } from './fault.ts';

/** The wall clock jumps by so much, for every process; undone, it jumps back. */
export async function jumpClock(seconds: number): Promise<Fault> {
  const words = (await fs.readFile('/proc/cmdline', 'utf8')).split(/\s+/);
  if (!words.includes(GUEST_MARK))
    throw new Error('Cannot set the clock: it is that of a real machine. See: npm test -- kernel-faults');
  await jump(seconds);
  return faultOf(`the wall clock is ${seconds} s off`, () => jump(-seconds));
}

async function jump(seconds: number): Promise<void> {
  await runCommand({ argv: ['date', '--set', `${seconds < 0 ? '' : '+'}${seconds} seconds`] });
}
