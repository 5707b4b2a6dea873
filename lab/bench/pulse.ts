// A member whose gateway moves again and again: says when it published each move. Runs in a lab's gateway: `pulse.ts COUNT PAUSE_MS`.

import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { openMember } from '#broker';
import { WIREGUARD_BASE_PORT } from '#lib/constants';
import { parseAddress } from '#lib/ip';
import { openLog } from '#lib/log';
import { PrivateKey } from '#lib/wireguard';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import * as v from 'valibot';
import { median } from './benchmark.ts';

const SECRETS = '/var/lib/isthmus/secrets';
const [count = 0, pauseMs = 0] = process.argv.slice(2, 4).map(Number);
const address = parseAddress(process.argv[4] ?? '');

/** Milliseconds since 1970, with fractions: comparable between processes of one machine. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Median of NATS round trips over a connection of its own, with the same credentials. */
async function natsRoundTrip(): Promise<number> {
  const Membership = v.object({ urls: v.array(v.string()), ca: v.string() });
  const { urls, ca } = v.parse(Membership, JSON.parse(await readFile(`${SECRETS}/membership.json`, 'utf8')));
  const credentials = await readFile(`${SECRETS}/user.creds`);
  const connection = await connect({
    servers: urls,
    tls: { ca },
    authenticator: credsAuthenticator(credentials),
  });
  const times: number[] = [];
  for (let round = 0; round < 50; round += 1) {
    const started = performance.now();
    await connection.flush();
    times.push(performance.now() - started);
  }
  await connection.close();
  return median(times);
}

const stop = new AbortController();
const log = openLog({ component: 'pulse', level: 'error' });
const state = '/var/lib/isthmus/state';
const member = await openMember({ secrets: SECRETS, state, signal: stop.signal, log });
const keys = [PrivateKey.generate().publicKey];
const natsMs = await natsRoundTrip();
const published: (readonly [port: number, at: number])[] = [];
for (let round = 0; round <= count; round += 1) {
  const port = WIREGUARD_BASE_PORT - 1 - round;
  const at = now();
  await member.publishGateway({ ordinal: 0, keys, endpoint: { addresses: [address], port } });
  // The first makes the peer; moves are what counts.
  if (round > 0) published.push([port, at]);
  await sleep(round === 0 ? 3000 : pauseMs);
}
process.stdout.write(`${JSON.stringify({ natsMs, published })}\n`);
await member[Symbol.asyncDispose]();
stop.abort();
