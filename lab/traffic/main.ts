// One end of steady traffic: takes orders on stdin, ends when that does, and says what it saw on stdout.

import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { now } from './clock.ts';
import { Order, type Load, type Word } from './protocol.ts';
import { Sender } from './sender.ts';
import { serveEchoes } from './tcp.ts';
import { Arrivals } from './udp.ts';

function say(word: Word): void {
  process.stdout.write(`${JSON.stringify(word)}\n`);
}

const arrivals = new Arrivals();
await Promise.all([arrivals.listen(), serveEchoes()]);
let sender: Sender | undefined;
let begun = { at: 0, cpu: process.cpuUsage() };

async function start(load: Load): Promise<void> {
  sender = await Sender.start(load);
  begun = { at: now(), cpu: process.cpuUsage() };
  say({ word: 'open' });
}

async function stop({ graceMs, patienceMs }: { graceMs: number; patienceMs: number }): Promise<void> {
  sender?.stop();
  const { user, system } = process.cpuUsage(begun.cpu);
  const lastedMs = now() - begun.at;
  await sleep(graceMs);
  for (const until = now() + patienceMs; now() < until && !isQuiet();) await sleep(50);
  const sent = sender?.flows.map((flow) => flow.sent) ?? [];
  const connections = sender?.connections.map((connection) => connection.close()) ?? [];
  const seen = { sent, arrived: arrivals.flows, connections, cpuMs: (user + system) / 1000, lastedMs };
  say({ word: 'seen', seen });
}

function isQuiet(): boolean {
  return sender?.connections.every((connection) => connection.isQuiet) ?? true;
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const order = v.parse(Order, JSON.parse(line));
  const work = order.order === 'start' ? start(order.load) : stop(order);
  work.catch((error: unknown) => say({ word: 'failed', why: String(error) }));
});
input.on('close', () => process.exit());
say({ word: 'ready' });
