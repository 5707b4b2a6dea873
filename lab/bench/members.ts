// The secrets and the last known good of a member of a large clusterset, as a gateway finds them on its disk.

import { createHash } from 'node:crypto';
import path from 'node:path';
import {
  membershipAuthority,
  parseAccount,
  pinRoot,
  saveMembership,
  signCertificate,
  signDelegation,
  SigningKey,
  signRecord,
  Store,
} from '#broker';
import type { Account, AuthorityKey, Certificate } from '#broker';
import { FABRIC4_DEFAULT, WIREGUARD_BASE_PORT } from '#lib/constants';
import type { Cidr } from '#lib/ip';
import { parseCidr } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { isPublicKey } from '#lib/wireguard';

/** Two gateways, two lanes each. */
const GATEWAYS = 2;
const LANES = 2;
const DATE = new Date('2026-01-01T00:00:00Z');

/** Everything here is signed as the membership agent and the members themselves would. */
export class Clusterset {
  readonly #root = SigningKey.generate();
  readonly #authority: AuthorityKey;
  readonly #account = accountOf('broker');

  constructor() {
    const key = SigningKey.generate();
    const delegation = signDelegation(this.#root, key.publicKey, DATE);
    this.#authority = membershipAuthority(key, delegation, this.#root.publicKey);
  }

  /** Admits the cluster with index 1, and writes what its join would have written. Its broker is not there. */
  async admit(secrets: string, cluster: string, podCidrs: readonly Cidr[]): Promise<void> {
    const identity = SigningKey.generate();
    const certificate = this.#certify({ cluster, index: 1, podCidrs, identity });
    await saveMembership(secrets, {
      identity,
      credentials: '',
      membership: {
        root: this.#root.publicKey,
        brokerAccount: this.#account,
        urls: ['tls://127.0.0.1:9'],
        ca: '-',
        fabric4: FABRIC4_DEFAULT,
        certificate: Buffer.from(certificate.bytes).toString('base64'),
      },
    });
  }

  /** Writes the last known good of a gateway that has seen so many other clusters. */
  async remember(state: string, clusters: number): Promise<void> {
    const members = Array.from({ length: clusters }, (_, at) => this.#member(at + 2)).flat();
    // How far the stream was read, the own certificate included: without it, a gateway takes what it holds for a part.
    const cursor = {
      subject: 'cursor',
      bytes: Buffer.from(JSON.stringify({ sequence: members.length + 1 })),
    };
    const frames = [...members, cursor];
    await using store = new Store({ path: path.join(state, 'records'), live: () => frames });
    for (const frame of frames) store.append(frame);
  }

  #certify(of: {
    cluster: string;
    index: number;
    podCidrs: readonly Cidr[];
    identity: SigningKey;
  }): Certificate & { readonly bytes: Uint8Array } {
    const certificate: Certificate = {
      cluster: parseClusterId(of.cluster),
      account: accountOf(of.cluster),
      identity: of.identity.publicKey,
      index: of.index,
      podCidrs: of.podCidrs,
      serviceCidrs: [],
      slots: 64,
      serial: of.index,
    };
    return { ...certificate, bytes: signCertificate(this.#authority, certificate, DATE) };
  }

  #member(index: number): readonly { readonly subject: string; readonly bytes: Uint8Array }[] {
    const identity = SigningKey.generate();
    const cluster = `cluster-${index}`;
    const high = 2 + (index >> 2);
    const podCidrs = [
      parseCidr(`10.${high}.${(index & 3) * 64}.0/18`),
      parseCidr(`fd11:${index.toString(16)}::/32`),
    ];
    const { account, bytes } = this.#certify({ cluster, index, podCidrs, identity });
    const clusterset = pinRoot(this.#root.publicKey).clusterset;
    const place = { clusterset, cluster: parseClusterId(cluster), account, kind: 'gateway', schema: 1 };
    const gateways = Array.from({ length: GATEWAYS }, (_, ordinal) => {
      const slot = `gw.${ordinal}`;
      const content = {
        ordinal,
        keys: Array.from({ length: LANES }, (_, lane) => keyOf(`${index} ${ordinal} ${lane}`)),
        endpoint: { addresses: [`203.0.113.${(index + ordinal) % 250}`], port: WIREGUARD_BASE_PORT },
        cidrs: podCidrs,
        reads: [1, 1],
      };
      const record = signRecord({ ...place, slot, epoch: 1, version: 1, content }, identity, DATE);
      return { subject: `mc.put.${account}.${slot}`, bytes: record };
    });
    return [{ subject: `mc.put.${this.#account}.dir.${cluster}`, bytes }, ...gateways];
  }
}

/** An account's public key in form only: nobody connects with it. */
function accountOf(seed: string): Account {
  const digits = [...createHash('sha512').update(seed).digest()].map(
    (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte & 31],
  );
  return parseAccount(`A${digits.join('').slice(0, 55)}`);
}

function keyOf(seed: string): string {
  const key = createHash('sha256').update(seed).digest('base64');
  if (!isPublicKey(key)) throw new TypeError(`Cannot use "${key}" as a key`);
  return key;
}
