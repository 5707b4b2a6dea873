// Says when the endpoint of a peer changed in this host's kernel. Runs in a lab's gateway: `watch.ts DEVICE ADDRESS`, until it is ended.

import { execFile } from 'node:child_process';
import net from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const [device = '', address = ''] = process.argv.slice(2);
const POLL_MS = 2;

/** What a userspace device says on its socket; a quarter of a millisecond, where `wg show` takes three. */
async function askUserspace(): Promise<string> {
  const socket = net.connect(`/var/run/wireguard/${device}.sock`);
  socket.write('get=1\n\n');
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.endsWith('\n\n')) break;
  }
  return text;
}

async function ask(): Promise<string> {
  return await askUserspace().catch(async () => {
    const { stdout } = await run('wg', ['show', device, 'endpoints']).catch(() => ({ stdout: '' }));
    return stdout;
  });
}

/** The port of the peer that stands at the address. */
function portIn(text: string): number | undefined {
  const at = text.indexOf(`${address}:`);
  return at < 0 ? undefined : Number.parseInt(text.slice(at + address.length + 1), 10);
}

let last: number | undefined;
for (;;) {
  const port = portIn(await ask());
  if (port !== last && port !== undefined) {
    process.stdout.write(`${JSON.stringify([port, performance.timeOrigin + performance.now()])}\n`);
  }
  last = port;
  await sleep(POLL_MS);
}
