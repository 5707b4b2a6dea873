// The process that stands for a pod: answers who it was reached by, and reaches others when told to on its control socket.

import net from 'node:net';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { check } from './check.ts';
import { parseCheck, renderResult } from './protocol.ts';
import { serve } from './serve.ts';

const [socketPath] = process.argv.slice(2);
if (socketPath === undefined)
  throw new TypeError('Cannot stand for a pod: the path of the control socket is missing');
await serve();
const control = net.createServer((socket) => {
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).on('line', (line) => {
    const { id, check: wanted } = parseCheck(line);
    void check(wanted).then((result) => socket.write(`${renderResult(id, result)}\n`));
  });
});
control.listen(socketPath);
