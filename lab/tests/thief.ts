// Speaks to the broker as whoever has stolen a member's secrets would. Runs on a gateway of that member, in a lab; prints what it was told.

import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/nats-core';
import { credsAuthenticator } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { loadMembership, openCertificate, signRecord } from '#broker';

const [victim = ''] = process.argv.slice(2);
const { own, pinned, identity, brokerAccount, urls, ca, credentials } =
  await loadMembership('/var/lib/isthmus/secrets');
const connection = await connect({
  servers: [...urls],
  tls: { ca },
  authenticator: credsAuthenticator(new TextEncoder().encode(credentials)),
});
let violations = 0;
void countViolations(connection);

async function countViolations(from: NatsConnection): Promise<void> {
  for await (const status of from.status()) if (status.type === 'error') violations += 1;
}

async function lastOf(subject: string): Promise<Uint8Array> {
  return (await connection.request('mc.get', JSON.stringify({ last_by_subj: subject }))).data;
}

const { account } = openCertificate(pinned, await lastOf(`mc.put.${brokerAccount}.dir.${victim}`));
const mine = await lastOf(`mc.put.${own.account}.gw.0`);
const theirs = await lastOf(`mc.put.${account}.gw.0`);

interface Changes {
  readonly epoch?: number;
  readonly version?: number;
  readonly schema?: number;
  readonly cidrs?: readonly string[];
  readonly pad?: number;
}

/** A record that the stolen key signs, far ahead of the true ones unless it says otherwise. */
function signed({ epoch = Date.now() * 2, version = 1, schema = 1, ...rest }: Changes): Uint8Array {
  const { cidrs = own.podCidrs, pad = 0 } = rest;
  const keys = [Buffer.alloc(32, 7).toString('base64')];
  const content = { ordinal: 0, keys, cidrs, reads: [1, 1], pad: 'x'.repeat(pad) };
  const place = { clusterset: pinned.clusterset, cluster: own.cluster, account: own.account };
  const slot = { kind: 'gateway', slot: 'gw.0', schema, epoch, version };
  return signRecord({ ...place, ...slot, content }, identity, new Date());
}

/** What a record's header says of itself. */
function counterOf(bytes: Uint8Array): Pick<Changes, 'epoch' | 'version'> {
  const text = Buffer.from(bytes).toString('latin1');
  const field = (name: string): number => Number(new RegExp(`"${name}":(\\d+)`).exec(text)?.[1]);
  return { epoch: field('epoch'), version: field('version') };
}

function altered(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = copy.length - 80;
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

const statements: readonly (readonly [slot: string, bytes: Uint8Array])[] = [
  ['gw.0', altered(mine)],
  ['gw.0', theirs],
  ['gw.0', signed({ epoch: 1 })],
  ['gw.0', signed(counterOf(mine))],
  ['gw.0', signed({ cidrs: ['10.1.0.0/16'] })],
  ['gw.0', signed({ schema: 2 })],
  ['gw.0', signed({ pad: 20_000 })],
  ['gw.0', new TextEncoder().encode('not a record')],
  // Last, where nobody puts anything else in its place.
  ['gw.1', mine],
];
for (const [slot, bytes] of statements) {
  await connection.request(`put.${slot}`, bytes);
  connection.publish('hot', bytes);
  await sleep(50);
}
for (const subject of [
  'put.gw.8',
  `mc.put.${account}.gw.0`,
  `mc.upd.${account}.gw.0`,
  `mc.evt.${account}.gw.0`,
]) {
  connection.publish(subject, theirs);
}
await connection.flush();
await sleep(100);
process.stdout.write(`${JSON.stringify({ said: statements.length, violations })}\n`);
await connection.close();
