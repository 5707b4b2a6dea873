// A thousand other clusters, as a broker and a gateway that have known them for long find them on their disks.

import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  loadMembership,
  membershipAuthority,
  parseAccount,
  signCertificate,
  SigningKey,
  signRecord,
  Store,
} from '#broker';
import type { Account, AuthorityKey, Certificate } from '#broker';
import { WIREGUARD_BASE_PORT } from '#lib/constants';
import { parseCidr } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import type { ClusterId } from '#lib/names';
import { Nkey } from '#lib/nats';
import { isPublicKey } from '#lib/wireguard';

/** Two gateways, two lanes each. */
const GATEWAYS = 2;
const LANES = 2;
const DATE = new Date('2026-01-01T00:00:00Z');

export interface CrowdOptions {
  /** The broker's data directory. */
  readonly broker: string;
  /** The secrets of the one member that has really joined; the others have the indices after its own. */
  readonly secrets: string;
  readonly clusters: number;
}

type Frames = readonly { readonly subject: string; readonly bytes: Uint8Array }[];

interface Made {
  readonly cluster: ClusterId;
  readonly account: Account;
  readonly certificate: Uint8Array;
  readonly records: Frames;
}

/** Members that nobody runs. The membership key has signed their certificates, and their own keys their records. */
export class Crowd {
  readonly #members: readonly Made[];
  readonly #options: CrowdOptions;
  readonly #brokerAccount: Account;

  private constructor(options: CrowdOptions, brokerAccount: Account, members: readonly Made[]) {
    this.#options = options;
    this.#brokerAccount = brokerAccount;
    this.#members = members;
  }

  static async make(options: CrowdOptions): Promise<Crowd> {
    const { pinned, own, brokerAccount } = await loadMembership(options.secrets);
    const key = (name: string): Promise<string> => readFile(path.join(options.broker, 'keys', name), 'utf8');
    const membership = SigningKey.parse(await key('membership.key'));
    const delegation = Buffer.from(await key('membership.delegation'), 'base64');
    const authority = membershipAuthority(membership, delegation, pinned.key);
    const members = Array.from({ length: options.clusters }, (_, at) =>
      member(authority, own.index + 1 + at),
    );
    return new Crowd(options, brokerAccount, members);
  }

  /** Puts them on the disk of a broker that does not run: it serves them from its next start on. */
  async enrol(): Promise<void> {
    const directory = path.join(this.#options.broker, 'members');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const { cluster, certificate } of this.#members) {
      const file = { version: 1, certificate: Buffer.from(certificate).toString('base64'), ends: [] };
      await writeFile(path.join(directory, `${cluster}.json`), JSON.stringify(file), { mode: 0o600 });
    }
  }

  /** Writes them as the last known good of a gateway that does not run. It reads the broker's stream from the beginning. */
  async remember(state: string): Promise<void> {
    const frames = this.#members.flatMap(({ cluster, certificate, records }) => [
      { subject: `mc.put.${this.#brokerAccount}.dir.${cluster}`, bytes: certificate },
      ...records,
    ]);
    await using store = new Store({ path: path.join(state, 'records'), live: () => frames });
    for (const frame of frames) store.append(frame);
  }
}

function member(authority: AuthorityKey, index: number): Made {
  const identity = SigningKey.generate();
  const cluster = parseClusterId(`cluster-${index}`);
  const account = parseAccount(Nkey.generate('account').publicKey);
  const high = 2 + (index >> 2);
  const podCidrs = [
    parseCidr(`10.${high}.${(index & 3) * 64}.0/18`),
    parseCidr(`fd11:${index.toString(16)}::/32`),
  ];
  const certificate: Certificate = {
    cluster,
    account,
    identity: identity.publicKey,
    index,
    podCidrs,
    serviceCidrs: [],
    slots: 64,
    serial: index,
  };
  const { clusterset } = authority;
  const records = Array.from({ length: GATEWAYS }, (_, ordinal) => {
    const slot = `gw.${ordinal}`;
    const content = {
      ordinal,
      keys: Array.from({ length: LANES }, (_, lane) => keyOf(`${index} ${ordinal} ${lane}`)),
      endpoint: { addresses: [`203.0.113.${(index + ordinal) % 250}`], port: WIREGUARD_BASE_PORT },
      cidrs: podCidrs,
      reads: [1, 1],
    };
    const place = { clusterset, cluster, account, kind: 'gateway', schema: 1, slot, epoch: 1, version: 1 };
    return { subject: `mc.put.${account}.${slot}`, bytes: signRecord({ ...place, content }, identity, DATE) };
  });
  return { cluster, account, certificate: signCertificate(authority, certificate, DATE), records };
}

function keyOf(seed: string): string {
  const key = createHash('sha256').update(seed).digest('base64');
  if (!isPublicKey(key)) throw new TypeError(`Cannot use "${key}" as a key`);
  return key;
}
