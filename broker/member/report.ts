// The status of a member, and the conditions that follow from it.

import type { Condition } from '#lib/conditions';
import { condition } from '#lib/conditions';
import type { Follower } from './follower.ts';
import type { Knowledge } from './knowledge.ts';
import type { OpenMembership } from './membership.ts';
import type { Ledger } from '../trust/ledger.ts';
import type { BelievedRecord, BrokerStatus, OwnSlot, StandingRefusal } from './status.ts';

/** What a status is made of. */
export interface StatusInput {
  readonly membership: OpenMembership;
  readonly knowledge: Knowledge;
  readonly follower: Follower;
  readonly own: readonly OwnSlot[];
  readonly link: { readonly fault: string | undefined; readonly server: string | undefined };
  readonly now: Date;
}

/** Milliseconds before silence and disagreement are worth a word: a restart of the broker takes less. */
const VISIBLE_AFTER = 10_000;
/** Times that a slot was said over us before it is more than the echo of an earlier life of this host. */
const CONTESTED = 3;

export function statusOf(input: StatusInput): BrokerStatus {
  const { membership, knowledge, follower, own, link } = input;
  const { refusals, ledger, merge, store } = knowledge;
  const { age } = follower.beacons;
  return {
    cluster: membership.own.cluster,
    connected: link.fault === undefined,
    ...(link.server === undefined ? {} : { server: link.server }),
    synced: link.fault === undefined && follower.isInStep,
    complete: follower.cursor.sequence > 0,
    cursor: follower.cursor.sequence,
    ...(age === undefined ? {} : { beaconAge: Math.round(age) }),
    members: ledger.members.size,
    waiting: merge.waiting.length,
    accepted: refusals.accepted,
    refused: refusals.counts,
    standing: refusals.standing,
    get records() {
      return believed(ledger);
    },
    gaps: follower.gaps,
    resyncs: follower.resyncs,
    own,
    ...(store.problem === undefined ? {} : { storeProblem: store.problem }),
    conditions: [
      ...ofBroker(input),
      ...ofMembership(input),
      ...ofOwn(input),
      ...refusals.standing.map((one) => ofRefusal(input, one)),
    ],
  };
}

function believed(ledger: Ledger): BelievedRecord[] {
  return [...ledger.members.keys()].toSorted().flatMap((cluster) =>
    ledger
      .recordsOf(cluster)
      .map(({ slot, epoch, version, content }) => {
        return { cluster, slot, epoch, version, tombstone: content === undefined };
      })
      .toSorted((a, b) => (a.slot < b.slot ? -1 : 1)),
  );
}

function ofBroker({ follower, link, membership }: StatusInput): Condition[] {
  const [url = ''] = membership.urls;
  if (link.fault !== undefined) return [condition('IST_BROKER_UNREACHABLE', url, { reason: link.fault })];
  const { age = 0, disagreement } = follower.beacons;
  return [
    ...(age > VISIBLE_AFTER ? [condition('IST_BROKER_SILENT', url, {})] : []),
    ...(disagreement > VISIBLE_AFTER ? [condition('IST_DIRECTORY_DIFFERS', url, {})] : []),
  ];
}

function ofMembership({ knowledge, membership, now }: StatusInput): Condition[] {
  const { cluster } = membership.own;
  const own = knowledge.ledger.members.get(cluster);
  if (own === undefined) return [condition('IST_MEMBERSHIP_REVOKED', cluster, { cluster })];
  const date = own.notAfter;
  const isExpired = date !== undefined && now.getTime() > Date.parse(date);
  return isExpired ? [condition('IST_CERTIFICATE_EXPIRED', cluster, { cluster, date })] : [];
}

function ofOwn({ knowledge, own }: StatusInput): Condition[] {
  const { path, store } = knowledge;
  const contested = own.filter((slot) => slot.contested >= CONTESTED);
  return [
    ...contested.map(({ slot }) => condition('IST_ORDINAL_CONTESTED', slot, { slot })),
    ...(store.problem === undefined
      ? []
      : [condition('IST_STATE_UNWRITTEN', path, { path, reason: store.problem })]),
  ];
}

/** Named by its cluster where the subject's account is a member's, else by the subject. */
function ofRefusal({ knowledge }: StatusInput, { subject, code, reason }: StandingRefusal): Condition {
  const { ledger } = knowledge;
  const [, , account = '', ...slot] = subject.split('.');
  const why = `${reason} (${code})`;
  if (account === ledger.pins.brokerAccount) {
    return condition('IST_MEMBER_REFUSED', subject, { cluster: slot[1] ?? subject, reason: why });
  }
  const owner = [...ledger.members.values()].find((member) => member.account === account);
  return condition('IST_RECORD_REFUSED', subject, { cluster: owner?.cluster ?? account, reason: why });
}
