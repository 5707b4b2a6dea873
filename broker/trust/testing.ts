// A clusterset made in memory, for tests: what honest parties sign, and the means to be dishonest.

import { WIREGUARD_BASE_PORT } from '#lib/constants';
import type { Cidr } from '#lib/ip';
import { parseCidr } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { createHash } from 'node:crypto';
import type { AuthorityKey } from './authority.ts';
import { membershipAuthority, pinRoot, rootAuthority, signDelegation } from './authority.ts';
import type { Certificate } from './certificate.ts';
import { signCertificate } from './certificate.ts';
import { fabricOf } from './fabric.ts';
import type { Account } from './header.ts';
import { parseAccount } from './header.ts';
import { SigningKey } from './keys.ts';
import type { Pins } from './ledger.ts';
import { Ledger } from './ledger.ts';
import type { RecordDraft } from './record.ts';
import { signRecord } from './record.ts';

/** Any time will do: nothing that is accepted depends on it. */
export const EPOCH = new Date('2026-01-01T00:00:00Z');

/** One cluster with everything that it holds. */
export interface TestCluster extends Certificate {
  readonly key: SigningKey;
  /** The certificate as the membership key signed it. */
  readonly bytes: Uint8Array;
  /** Its subject in the directory. */
  readonly directory: string;
}

export interface TestClusterset {
  readonly root: AuthorityKey;
  readonly membership: AuthorityKey;
  readonly pins: Pins;
  ledger(): Ledger;
  cluster(
    name: string,
    index: number,
    changes?: Partial<Certificate> & { readonly key?: SigningKey },
  ): TestCluster;
  /** A gateway's record, with whatever is to be wrong about it. */
  gateway(cluster: TestCluster, changes?: Partial<RecordDraft>, key?: SigningKey): Uint8Array;
}

/** The contents of a record for gateway 0 that everybody accepts. */
export function gatewayContent(cluster: Certificate, port = WIREGUARD_BASE_PORT): Record<string, unknown> {
  return {
    ordinal: 0,
    keys: [createHash('sha256').update(`${cluster.cluster} ${port}`).digest('base64')],
    endpoint: { addresses: ['192.0.2.1'], port },
    cidrs: cluster.podCidrs,
    reads: [1, 1],
  };
}

/** An account public key in form only. */
export function accountOf(seed: string): Account {
  const digits = [...createHash('sha512').update(seed).digest()].map(
    (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte & 31],
  );
  return parseAccount(`A${digits.join('').slice(0, 55)}`);
}

export function cidrsOf(...texts: readonly string[]): readonly Cidr[] {
  return texts.map(parseCidr);
}

export function subjectOf(account: Account, slot: string): string {
  return `mc.put.${account}.${slot}`;
}

export function newClusterset(): TestClusterset {
  const rootKey = SigningKey.generate();
  const membershipKey = SigningKey.generate();
  const delegation = signDelegation(rootKey, membershipKey.publicKey, EPOCH);
  const membership = membershipAuthority(membershipKey, delegation, rootKey.publicKey);
  const root = pinRoot(rootKey.publicKey);
  const brokerAccount = accountOf('broker');
  const pins = { root, brokerAccount, fabric: fabricOf(root.clusterset) };
  return {
    root: rootAuthority(rootKey),
    membership,
    pins,
    ledger: () => new Ledger(pins),
    cluster(name, index, { key = SigningKey.generate(), ...changes } = {}) {
      const certificate: Certificate = {
        cluster: parseClusterId(name),
        account: accountOf(key.publicKey),
        identity: key.publicKey,
        index,
        podCidrs: changes.podCidrs ?? cidrsOf(`10.${index}.0.0/16`, `fd10:${index}::/32`),
        serviceCidrs: changes.serviceCidrs ?? cidrsOf(`172.16.${index}.0/24`),
        slots: 64,
        serial: index,
        ...changes,
      };
      const bytes = signCertificate(membership, certificate, EPOCH);
      return { ...certificate, key, bytes, directory: subjectOf(brokerAccount, `dir.${name}`) };
    },
    gateway(cluster, changes = {}, key = cluster.key) {
      const content = gatewayContent(cluster);
      const place = { clusterset: root.clusterset, cluster: cluster.cluster, account: cluster.account };
      const slot = { kind: 'gateway', slot: 'gw.0', schema: 1, epoch: 1, version: 1 };
      return signRecord({ ...place, ...slot, content, ...changes }, key, EPOCH);
    },
  };
}
