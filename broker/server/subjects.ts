// Subjects and stream of the broker, as its own account and as members see them.
// This module is pure.

import { MAX_GATEWAYS } from '#lib/constants';
import type { NkeyPublic } from '#lib/nats';

/** The one stream: the last word of every member on every slot. */
export const STREAM = 'MC';
/** Records: `mc.put.<account>.<slot>`; the stream holds them, and repeats each as `mc.upd.<account>.<slot>`. */
export const PUT = 'mc.put';
export const UPDATE = 'mc.upd';
/** Events that nobody stores: the beacon, and records that must not wait for the stream. */
export const EVENT = 'mc.evt';
export const BEACON = 'mc.evt.beacon';
/** Members to agent: `mc.hot.<account>`; `mc.hb.<account>` is permitted, and nobody listens to it yet. */
export const HOT = 'mc.hot';
export const HEARTBEAT = 'mc.hb';
/** Joiners to agent: `mc.join.<account of all joiners>.<token id>`. */
export const JOIN = 'mc.join';
export const DIRECT_GET = `$JS.API.DIRECT.GET.${STREAM}`;
export const STREAM_INFO = `$JS.API.STREAM.INFO.${STREAM}`;

/** What a member calls them in its own account. */
export const LOCAL = { put: 'put', get: 'mc.get', hot: 'hot', heartbeat: 'hb', join: 'join' } as const;

/** Service slots when the certificate says nothing else. */
export const SLOTS_DEFAULT = 64;

/** `mc.put.<BROKER>.dir.<clusterId>`: the cluster's certificate, or what ended it. */
export function directorySubject(broker: NkeyPublic, cluster: string): string {
  return `${PUT}.${broker}.dir.${cluster}`;
}

/** Everything that a member may publish, one by one: NATS has no quota for a prefix, so the slots are counted here. */
export function memberSubjects(slots: number): string[] {
  const gateways = Array.from({ length: MAX_GATEWAYS }, (_, ordinal) => `${LOCAL.put}.gw.${ordinal}`);
  const services = Array.from({ length: slots }, (_, slot) => `${LOCAL.put}.s.${slot}`);
  return [...gateways, `${LOCAL.put}.m`, ...services, LOCAL.heartbeat, LOCAL.hot, LOCAL.get];
}
