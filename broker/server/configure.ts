// Writes what nats-server reads: configuration, TLS files, and the account of every member.

import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeJwt, renderServerConfig } from '#lib/nats';
import type { AccountClaims, Nkey, NkeyPublic } from '#lib/nats';
import type { Certificate } from '../trust/certificate.ts';
import { brokerAccount, joinAccount, memberAccount, systemAccount } from './accounts.ts';
import { issueServerCertificate } from './certificate.ts';
import { authorityName } from './create.ts';
import { parseAccountKey, splitHost } from './data-directory.ts';
import type { Description, Keys, Paths } from './data-directory.ts';
import { makeDirectory, namesIn, readIfThere, writeWhole } from './files.ts';

/** Bytes of the largest message: the agent's requests to the resolver, and pages that it gives out, are below it. */
const MAX_PAYLOAD = 256 * 1024;
/** Bytes of disk that JetStream may take: 1,023 members × 73 slots × 64 KiB would be 4.7 GiB. */
const MAX_STORE = 8 * 1024 ** 3;
/** Seconds: with two misses, a member that froze is disconnected within six. */
const PING_INTERVAL = 2;

/** Paths of nats-server's own files. */
export interface NatsPaths {
  readonly configuration: string;
  readonly pid: string;
  readonly accounts: string;
  readonly store: string;
  readonly certificate: string;
  readonly key: string;
}

export function natsPathsOf(paths: Paths): NatsPaths {
  const at = (name: string): string => join(paths.nats, name);
  return {
    configuration: at('nats-server.conf'),
    pid: at('nats-server.pid'),
    accounts: at('accounts'),
    store: at('store'),
    certificate: at('server.crt'),
    key: at('server.key'),
  };
}

export interface Setting {
  readonly paths: Paths;
  readonly description: Description;
  readonly keys: Keys;
  readonly now: () => Date;
}

/** Configuration and TLS files; the server's certificate is a new one each time, for the names that count now. */
export async function writeConfiguration({ paths, description, keys, now }: Setting): Promise<void> {
  const nats = natsPathsOf(paths);
  const { clusterset, advertise } = description;
  const hosts = ['localhost', '127.0.0.1', '::1', ...advertise.map((name) => splitHost(name).host)];
  const authority = { ...keys.tls, name: authorityName(clusterset) };
  const names = [...new Set(hosts)];
  const server = issueServerCertificate(authority, names, {
    name: `Isthmus broker server ${clusterset}`,
    now: now(),
  });
  await makeDirectory(nats.accounts);
  await writeWhole(nats.key, server.key);
  await writeWhole(nats.certificate, server.certificate);
  const config = renderServerConfig({
    name: `isthmus-${clusterset}`,
    host: description.host,
    port: description.port,
    tls: { certFile: nats.certificate, keyFile: nats.key },
    store: { directory: nats.store, maxFile: MAX_STORE, maxMemory: 64 * 1024 ** 2 },
    operatorJwt: description.operator,
    systemAccount: keys.system.publicKey,
    resolverDirectory: nats.accounts,
    preload: ownAccounts(keys, now()),
    maxPayload: MAX_PAYLOAD,
    pingInterval: PING_INTERVAL,
  });
  await writeWhole(nats.configuration, config);
}

/**
 * Makes the resolver's directory say exactly what the membership says, before the server reads it: a revoked member
 * stays out even when the directory was put back from an old copy.
 */
export async function writeAccounts(paths: Paths, accounts: ReadonlyMap<NkeyPublic, string>): Promise<void> {
  const { accounts: directory } = natsPathsOf(paths);
  await makeDirectory(directory);
  const wanted = new Map([...accounts].map(([account, jwt]) => [`${account}.jwt`, jwt]));
  const found = await namesIn(directory);
  await Promise.all(
    found.filter((name) => !wanted.has(name)).map((name) => rm(join(directory, name), { recursive: true })),
  );
  for (const [name, jwt] of wanted) {
    const path = join(directory, name);
    // Compared at every start, so a torn file does not last.
    if ((await readIfThere(path)) !== jwt) await writeFile(path, jwt, { mode: 0o600 });
  }
}

/** Accounts of the broker itself. */
export function ownAccounts(keys: Keys, now: Date): ReadonlyMap<NkeyPublic, string> {
  const { system, broker, join: joiners } = keys;
  const named: readonly (readonly [string, Nkey, AccountClaims])[] = [
    ['SYS', system, systemAccount()],
    ['BROKER', broker, brokerAccount()],
    ['JOIN', joiners, joinAccount(joiners.publicKey, broker.publicKey)],
  ];
  return new Map(
    named.map(([name, key, claims]) => [
      key.publicKey,
      accountJwt({ keys, name, subject: key.publicKey, claims, now }),
    ]),
  );
}

/**
 * The account of one member. Dated by its certificate's serial, so that the same membership gives the same text; user
 * JWTs from before are void, so that joining again takes the power from credentials that were lost.
 */
export function memberAccountJwt(
  keys: Keys,
  member: Pick<Certificate, 'cluster' | 'account' | 'serial'>,
): string {
  const account = parseAccountKey(member.account);
  const voidUntil = Math.floor(member.serial / 1000) - 1;
  const claims = { ...memberAccount(account, keys.broker.publicKey), revocations: { '*': voidUntil } };
  return accountJwt({ keys, name: member.cluster, subject: account, claims, now: new Date(member.serial) });
}

interface AccountDraft {
  readonly keys: Keys;
  readonly name: string;
  readonly subject: NkeyPublic;
  readonly claims: AccountClaims;
  readonly now: Date;
}

function accountJwt({ keys, name, subject, claims, now }: AccountDraft): string {
  const issuedAt = Math.floor(now.getTime() / 1000);
  return encodeJwt({ name, subject, signer: keys.operatorSigning, claims, issuedAt });
}
