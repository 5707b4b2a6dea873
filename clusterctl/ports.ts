// Whether the UDP ports that a gateway is going to listen on are free.

import { createSocket } from 'node:dgram';
import { isOurDevice } from '#lib/linux';
import type { Run } from '#lib/linux';

/** The first of the ports that another program has; devices of ours may hold theirs already, then nothing is tried. */
export async function takenPort(run: Run, ports: readonly number[]): Promise<number | undefined> {
  const links = await run({ argv: ['ip', '-brief', 'link', 'show'] });
  if (links.split('\n').some((line) => isOurDevice(line.split(/[ @]/, 1)[0] ?? ''))) return undefined;
  for (const port of ports) if (!(await isFree(port))) return port;
  return undefined;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind(port, () => socket.close(() => resolve(true)));
  });
}
