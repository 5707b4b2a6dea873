// Makes a broker: root, membership key, NATS operator, accounts and TLS authority, in one data directory.

import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BROKER_PORT, FABRIC4_DEFAULT } from '#lib/constants';
import { encodeJwt, Nkey } from '#lib/nats';
import { clustersetId, signDelegation } from '../trust/authority.ts';
import { fabricOf } from '../trust/fabric.ts';
import { SigningKey } from '../trust/keys.ts';
import { issueAuthority } from './certificate.ts';
import { KEY_FILES, pathsOf, splitHost, urlsOf, writeDescription } from './data-directory.ts';
import type { Description, Paths } from './data-directory.ts';
import { makeDirectory, namesIn, writeWhole } from './files.ts';

export interface CreateBrokerOptions {
  readonly dir: string;
  /** Hosts (or `host:port`) under which members reach the broker; at least one. */
  readonly advertise: readonly string[];
  /** Address to listen on; every address of both families when absent. */
  readonly host?: string;
  readonly port?: number;
  /** IPv4 block of the fabric, a /10. @default 100.64.0.0/10 */
  readonly fabric4?: string;
  readonly now?: () => Date;
}

/** What creation made, for the operator to read. */
export interface CreatedBroker {
  readonly clusterset: string;
  readonly urls: readonly string[];
  /** To be taken off this machine, and kept: nothing that runs needs them. */
  readonly storeOffline: readonly { readonly path: string; readonly what: string }[];
}

/** Names that an interrupted creation may leave behind. */
const LEFTOVERS = new Set(['keys', 'offline']);

/**
 * Makes everything that {@link startBroker} needs. An interrupted creation is begun anew by the next one.
 * @throws {Error} when a broker is there already, or something that is not one
 */
export async function createBroker(options: CreateBrokerOptions): Promise<CreatedBroker> {
  const paths = pathsOf(options.dir);
  const { advertise, port = BROKER_PORT, fabric4 = FABRIC4_DEFAULT } = options;
  if (advertise.length === 0) {
    throw new Error(
      'Cannot create the broker: no address is given under which members reach it. Add --advertise',
    );
  }
  advertise.forEach(splitHost);
  await refuseOccupied(paths);
  const now = (options.now ?? ((): Date => new Date()))();
  const root = SigningKey.generate();
  const clusterset = clustersetId(root.publicKey);
  const fabric = fabricOf(clusterset, fabric4);
  const operator = await writeKeys(paths, root, now);
  const description: Description = {
    version: 1,
    clusterset,
    root: root.publicKey,
    fabric4: fabric.v4,
    host: options.host ?? '::',
    port,
    advertise,
    operator,
  };
  await writeDescription(paths, description);
  return {
    clusterset,
    urls: urlsOf(description),
    storeOffline: [
      { path: join(paths.offline, 'root.key'), what: 'the clusterset root key' },
      { path: join(paths.offline, 'operator.nk'), what: 'the NATS operator key' },
    ],
  };
}

async function refuseOccupied(paths: Paths): Promise<void> {
  const names = await namesIn(paths.root);
  if (names.includes('broker.json')) {
    const next = `Start it: clusterctl broker start --data ${paths.root}`;
    throw new Error(`Cannot create a broker in "${paths.root}": there is one already. ${next}`);
  }
  const foreign = names.find((name) => !LEFTOVERS.has(name));
  if (foreign !== undefined) {
    throw new Error(
      `Cannot create a broker in "${paths.root}": it holds "${foreign}". Name an empty directory with --data`,
    );
  }
  await Promise.all(names.map((name) => rm(join(paths.root, name), { recursive: true })));
}

/** Returns the operator's JWT: the one thing that its offline key has to sign. */
async function writeKeys(paths: Paths, root: SigningKey, now: Date): Promise<string> {
  const clusterset = clustersetId(root.publicKey);
  const membership = SigningKey.generate();
  const operator = Nkey.generate('operator');
  const signing = Nkey.generate('operator');
  const system = Nkey.generate('account');
  const tls = issueAuthority({ name: authorityName(clusterset), now });
  const files = {
    [KEY_FILES.membership]: membership.reveal(),
    [KEY_FILES.delegation]: base64(signDelegation(root, membership.publicKey, now)),
    [KEY_FILES.operatorSigning]: signing.reveal(),
    [KEY_FILES.system]: system.reveal(),
    [KEY_FILES.broker]: Nkey.generate('account').reveal(),
    [KEY_FILES.join]: Nkey.generate('account').reveal(),
    [KEY_FILES.accounts]: base64(randomBytes(32)),
    [KEY_FILES.tlsKey]: tls.key,
    [KEY_FILES.tlsCertificate]: tls.certificate,
  };
  await Promise.all([paths.root, paths.keys, paths.offline].map(makeDirectory));
  await Promise.all(Object.entries(files).map(([name, text]) => writeWhole(join(paths.keys, name), text)));
  await writeWhole(join(paths.offline, 'root.key'), root.reveal());
  await writeWhole(join(paths.offline, 'operator.nk'), operator.reveal());
  return encodeJwt({
    name: `isthmus-${clusterset}`,
    subject: operator.publicKey,
    signer: operator,
    claims: {
      type: 'operator',
      version: 2,
      signing_keys: [signing.publicKey],
      system_account: system.publicKey,
    },
    issuedAt: Math.floor(now.getTime() / 1000),
  });
}

/** Common name of the TLS authority of a clusterset. */
export function authorityName(clusterset: string): string {
  return `Isthmus broker ${clusterset}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
