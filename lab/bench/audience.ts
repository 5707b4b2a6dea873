// Some of those who listen to one side of `followers`: `audience.ts JSON`. Says when they are there, and at the end when each heard what.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { loadMembership, openMember } from '#broker';
import { WIREGUARD_BASE_PORT } from '#lib/constants';
import { openLog } from '#lib/log';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import type { Msg, NodeConnectionOptions } from '@nats-io/transport-node';
import * as v from 'valibot';
import { AudienceOptions, SPEAKER, SUBJECT, TOLD } from './broadcast.ts';

const options = v.parse(AudienceOptions, JSON.parse(process.argv[2] ?? ''));
const { kind, root, from, to, rounds } = options;
/** Listeners that connect at a time. */
const AT_ONCE = 25;
const log = openLog({ component: 'audience', level: 'error' });
const { signal } = new AbortController();

/** By listener, then by round: milliseconds since 1970, with fractions. */
const heard: number[][] = [];
let isListening = false;

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** A connection that counts the messages on one of the subjects that it subscribes to. */
async function count(
  times: number[],
  how: NodeConnectionOptions,
  { subscribed, counted }: { readonly subscribed: readonly string[]; readonly counted: string },
): Promise<void> {
  const connection = await connect({ ...how, maxReconnectAttempts: 0 });
  const callback = (error: Error | null, message: Msg): void => {
    if (error === null && isListening && message.subject === counted) times.push(now());
  };
  for (const subject of subscribed) connection.subscribe(subject, { callback });
  await connection.flush();
}

async function plain(times: number[]): Promise<void> {
  const { servers, ca } = options;
  const tls = ca === undefined ? {} : { tls: { ca } };
  await count(times, { servers, ...tls }, { subscribed: [`${SUBJECT}.>`], counted: `${SUBJECT}.gw.0` });
}

/** Connected, and subscribed to what followers subscribe to. */
async function receiver(times: number[], at: number): Promise<void> {
  const { urls, ca, credentials } = await loadMembership(path.join(root, `secrets-${at}`));
  const how = {
    servers: [...urls],
    tls: { ca },
    authenticator: credsAuthenticator(Buffer.from(credentials)),
    pingInterval: 1500,
  };
  const counted = `mc.upd.${options.account}.gw.0`;
  await count(times, how, { subscribed: ['mc.upd.>', 'mc.evt.>'], counted });
}

/** A gateway's own member: it has heard of what its view shows. */
async function member(times: number[], at: number): Promise<void> {
  const state = path.join(root, `state-${at}`);
  await mkdir(state);
  const one = await openMember({ secrets: path.join(root, `secrets-${at}`), state, signal, log });
  const { promise, resolve } = Promise.withResolvers<void>();
  void (async () => {
    for await (const { members } of one.changes()) {
      const speaker = members.find(({ cluster }) => cluster === SPEAKER);
      const port = speaker?.gateways[0]?.endpoint?.port;
      if (port === undefined) continue;
      resolve();
      const missing = port - WIREGUARD_BASE_PORT - times.length;
      // What came together was seen together.
      if (isListening && missing > 0) times.push(...Array.from({ length: missing }, () => now()));
    }
  })();
  await promise;
}

const LISTENERS = { plain, receivers: receiver, members: member };

for (let first = from; first < to; first += AT_ONCE) {
  const some = Array.from({ length: Math.min(AT_ONCE, to - first) }, (_, at) => first + at);
  await Promise.all(
    some.map((at) => {
      const times: number[] = [];
      heard.push(times);
      return LISTENERS[kind](times, at);
    }),
  );
}
process.on('message', (message) => {
  const asked = v.parse(TOLD, message);
  if (asked === 'listen') isListening = true;
  else process.send?.({ heard: heard.map((times) => times.slice(0, rounds)) }, () => process.exit());
});
process.send?.({ heard: [] });
