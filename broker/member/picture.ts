// The ledger as a view: members, their gateways, and who was cut off.

import type { ClusterId } from '#lib/names';
import type { SignedCertificate } from '../trust/certificate.ts';
import type { Ledger } from '../trust/ledger.ts';
import type { ClustersetView, GatewayView, MemberView } from '../view.ts';

interface Drawn {
  /** What it was drawn from: the certificate, and the records in order. */
  readonly from: readonly unknown[];
  readonly member: MemberView;
}

/** Draws views; a member whose certificate and records are the same objects is the same object. */
export class Picture {
  readonly #ledger: Ledger;
  readonly #members = new Map<string, Drawn>();
  #last: ClustersetView | undefined;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** The view now: the same object as before while nothing in it has changed. */
  draw(): ClustersetView {
    const { pins, members } = this.#ledger;
    const live = [...members.values()].sort(byCluster).map((certificate) => this.#member(certificate));
    const revoked = this.#ledger.revoked.map((certificate) => this.#revoked(certificate)).sort(byCluster);
    const last = this.#last;
    if (last !== undefined && isSame(last.members, live) && isSame(last.revoked, revoked)) return last;
    this.#last = { clusterset: pins.root.clusterset, fabric: pins.fabric, members: live, revoked };
    return this.#last;
  }

  #member(certificate: SignedCertificate): MemberView {
    const records = this.#ledger
      .recordsOf(certificate.cluster)
      .filter(({ content }) => content?.kind === 'gateway');
    return this.#keep(certificate.cluster, [certificate, ...records], () => {
      const gateways = records.flatMap(({ content }) => {
        if (content?.kind !== 'gateway') return [];
        const { ordinal, keys, endpoint } = content.gateway;
        return [{ ordinal, keys, ...(endpoint === undefined ? {} : { endpoint }) }];
      });
      return memberOf(
        certificate,
        gateways.sort((a, b) => a.ordinal - b.ordinal),
      );
    });
  }

  #revoked(certificate: SignedCertificate): MemberView {
    return this.#keep(`revoked ${certificate.cluster}`, [certificate], () => memberOf(certificate, []));
  }

  #keep(key: string, from: readonly unknown[], draw: () => MemberView): MemberView {
    const drawn = this.#members.get(key);
    if (drawn !== undefined && isSame(drawn.from, from)) return drawn.member;
    const member = draw();
    this.#members.set(key, { from, member });
    return member;
  }
}

function memberOf(certificate: SignedCertificate, gateways: readonly GatewayView[]): MemberView {
  const { cluster, index, podCidrs, serviceCidrs } = certificate;
  return { cluster, index, podCidrs, serviceCidrs, gateways };
}

function byCluster(a: { readonly cluster: ClusterId }, b: { readonly cluster: ClusterId }): number {
  return a.cluster === b.cluster ? 0 : a.cluster < b.cluster ? -1 : 1;
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}
