// Takes the machine's cores away from everybody, politely.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import process from 'node:process';
import { faultOf, type Fault } from './fault.ts';

/** A process group of its own is what a kernel with autogroups gives its share to, whatever the niceness of its processes: it has one itself. */
const LEAST = '19';

/** One busy loop a core at the lowest niceness. It ends after so long at the latest, also if this process is killed. */
export async function starve(forMs: number): Promise<Fault> {
  const seconds = String(Math.ceil(forMs / 1000));
  const argv = ['-n', LEAST, 'timeout', '-s', 'KILL', seconds, 'sh', '-c', 'while :; do :; done'];
  const loops = os.cpus().map(() => spawn('nice', argv, { detached: true, stdio: 'ignore' }));
  await Promise.all(loops.map((loop) => once(loop, 'spawn')));
  for (const { pid } of loops) await fs.writeFile(`/proc/${pid}/autogroup`, LEAST).catch(() => {});
  return faultOf(`${loops.length} busy loops`, async () => {
    await Promise.all(
      loops.map(async (loop) => {
        if (loop.exitCode !== null || loop.signalCode !== null || loop.pid === undefined) return;
        const closed = once(loop, 'close');
        process.kill(-loop.pid, 'SIGKILL');
        await closed;
      }),
    );
  });
}
