// The broker's data directory: where each thing lies, and what the description in it says.
//
//   broker.json      the description: public facts, and the last file that creation writes
//   keys/            membership key, NATS operator's signing key, account keys, TLS authority
//   offline/         root key and NATS operator key, until somebody takes them away; nothing here reads them
//   members/         one file a cluster: its certificate, or what ended it
//   tokens/          one file a token that was given out
//   nats/            nats-server's own: configuration, accounts, stream; all of it can be made again
//   lock             held by the one process that runs the broker
//   control.sock     by which commands reach that process

import { isIP } from 'node:net';
import { join } from 'node:path';
import * as v from 'valibot';
import { Nkey, parseNkeyPublic } from '#lib/nats';
import type { NkeyPublic } from '#lib/nats';
import { isCidr4, parseCidr } from '#lib/ip';
import type { Cidr4 } from '#lib/ip';
import { membershipAuthority } from '../trust/authority.ts';
import type { AuthorityKey } from '../trust/authority.ts';
import { parseVerifyingKey, SigningKey } from '../trust/keys.ts';
import type { VerifyingKey } from '../trust/keys.ts';
import type { CertifiedKey } from './certificate.ts';
import { readIfThere, writeWhole } from './files.ts';

/** Paths below one data directory. */
export interface Paths {
  readonly root: string;
  readonly description: string;
  readonly keys: string;
  readonly offline: string;
  readonly members: string;
  readonly tokens: string;
  readonly nats: string;
  readonly control: string;
}

export function pathsOf(root: string): Paths {
  const at = (name: string): string => join(root, name);
  return {
    root,
    description: at('broker.json'),
    keys: at('keys'),
    offline: at('offline'),
    members: at('members'),
    tokens: at('tokens'),
    nats: at('nats'),
    control: at('control.sock'),
  };
}

const DESCRIPTION = v.object({
  version: v.literal(1),
  clusterset: v.string(),
  root: v.pipe(v.string(), v.transform(parseVerifyingKey)),
  fabric4: v.pipe(v.string(), v.transform(parseFabric4)),
  host: v.string(),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  advertise: v.pipe(v.array(v.string()), v.minLength(1)),
  operator: v.string(),
});

/** The public facts of a broker. */
export interface Description {
  readonly version: 1;
  readonly clusterset: string;
  readonly root: VerifyingKey;
  readonly fabric4: Cidr4;
  /** Address to listen on. */
  readonly host: string;
  readonly port: number;
  /** `host` or `host:port` under which members reach it. */
  readonly advertise: readonly string[];
  /** JWT of the NATS operator, signed by the operator's offline key. */
  readonly operator: string;
}

/** Everything secret that a running broker holds. */
export interface Keys {
  readonly authority: AuthorityKey;
  readonly operatorSigning: Nkey;
  readonly system: Nkey;
  readonly broker: Nkey;
  readonly join: Nkey;
  /** Members' account keys follow from it. */
  readonly accounts: string;
  readonly tls: CertifiedKey;
}

/** Names below `keys/`. */
export const KEY_FILES = {
  membership: 'membership.key',
  delegation: 'membership.delegation',
  operatorSigning: 'operator-signing.nk',
  system: 'system.nk',
  broker: 'broker.nk',
  join: 'join.nk',
  accounts: 'accounts.secret',
  tlsKey: 'ca.key',
  tlsCertificate: 'ca.crt',
} as const;

/** The data directory holds no broker: most likely another was meant. */
export class NoBrokerError extends Error {
  override readonly name = 'NoBrokerError';
}

/**
 * @throws {NoBrokerError} when there is no broker in the directory
 * @throws {Error} when its description cannot be read
 */
export async function readDescription(paths: Paths): Promise<Description> {
  const text = await readIfThere(paths.description);
  if (text === undefined) {
    const next = `Create it first: clusterctl broker create --data ${paths.root}`;
    throw new NoBrokerError(
      `Cannot use the data directory "${paths.root}": there is no broker in it. ${next}`,
    );
  }
  try {
    return v.parse(DESCRIPTION, JSON.parse(text));
  } catch (error) {
    const next = 'Put it back from a backup';
    throw new Error(`Cannot read "${paths.description}": it is damaged. ${next}`, { cause: error });
  }
}

export async function writeDescription(paths: Paths, description: Description): Promise<void> {
  await writeWhole(paths.description, `${JSON.stringify(description, null, 2)}\n`);
}

/** @throws {Error} when a key is missing or does not belong to this broker */
export async function readKeys(paths: Paths, root: VerifyingKey): Promise<Keys> {
  const read = (name: string): Promise<string> => readKey(paths, name);
  const membership = SigningKey.parse(await read(KEY_FILES.membership));
  const delegation = Buffer.from(await read(KEY_FILES.delegation), 'base64');
  return {
    authority: membershipAuthority(membership, delegation, root),
    operatorSigning: Nkey.parse(await read(KEY_FILES.operatorSigning)),
    system: Nkey.parse(await read(KEY_FILES.system)),
    broker: Nkey.parse(await read(KEY_FILES.broker)),
    join: Nkey.parse(await read(KEY_FILES.join)),
    accounts: await read(KEY_FILES.accounts),
    tls: { certificate: await read(KEY_FILES.tlsCertificate), key: await read(KEY_FILES.tlsKey) },
  };
}

async function readKey(paths: Paths, name: string): Promise<string> {
  const path = join(paths.keys, name);
  const text = await readIfThere(path);
  if (text === undefined) throw new Error(`Cannot read "${path}": it is missing. Put it back from a backup`);
  return text;
}

/** Checks that text is a NATS account's public key, for subjects and resolver files. */
export function parseAccountKey(text: string): NkeyPublic {
  return parseNkeyPublic(text, 'account');
}

/** `tls://host:port` of every advertised name. */
export function urlsOf({ advertise, port }: Pick<Description, 'advertise' | 'port'>): string[] {
  return advertise.map((name) => {
    const { host, port: own } = splitHost(name);
    return `tls://${host.includes(':') ? `[${host}]` : host}:${own ?? port}`;
  });
}

const HOST = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::(\d{1,5}))?$/;

/** `[::1]:4222`, `::1`, `name:4222` or `name`, taken apart. @throws {SyntaxError} */
export function splitHost(text: string): { readonly host: string; readonly port?: number } {
  const match = HOST.exec(isIP(text) === 6 ? `[${text}]` : text);
  const [, six, name, port] = match ?? [];
  const host = six ?? name;
  if (host !== undefined && isPort(port)) return port === undefined ? { host } : { host, port: Number(port) };
  throw new SyntaxError(`Cannot use "${text}" as the broker's address: it is not a host, or host:port`);
}

function isPort(text: string | undefined): boolean {
  return text === undefined || (Number(text) > 0 && Number(text) <= 65_535);
}

function parseFabric4(text: string): Cidr4 {
  const cidr = parseCidr(text);
  if (!isCidr4(cidr)) throw new SyntaxError(`Cannot use "${text}" as the fabric's IPv4 block`);
  return cidr;
}
