// The kinds of record there are: what each may contain, where, and how long.

import { MAX_GATEWAYS } from '#lib/constants';
import { contains, parseCidr } from '#lib/ip';
import * as v from 'valibot';
import type { Certificate } from '../trust/certificate.ts';
import type { Fabric } from '../trust/fabric.ts';
import { refuse } from '../trust/refusal.ts';
import type { GatewayRecord } from './gateway.ts';
import { GATEWAY, GATEWAY_LIMIT, GATEWAY_SCHEMA } from './gateway.ts';
import type { Manifest } from './manifest.ts';
import { MANIFEST, MANIFEST_LIMIT, MANIFEST_SCHEMA, MANIFEST_SLOT } from './manifest.ts';

/** The contents of a verified record, with its kind. */
export type Content =
  | { readonly kind: 'gateway'; readonly gateway: GatewayRecord }
  | { readonly kind: 'manifest'; readonly manifest: Manifest };

export type Kind = Content['kind'];

/** What one kind of record allows. */
export interface KindRules {
  readonly kind: Kind;
  /** Highest major schema that this program reads. */
  readonly schema: number;
  /** Longest payload after inflating, in bytes. */
  readonly limit: number;
  /**
   * Reads a payload, and holds it against the certificate and the slot it stands in.
   * @throws {Refused} `malformed`, `wrong-slot` or `outside-certificate`
   */
  read(payload: unknown, place: Place): Content;
}

/** Where a record stands. */
export interface Place {
  readonly slot: string;
  readonly certificate: Certificate;
  readonly fabric: Fabric;
}

/** Slot of a gateway's record. */
export function gatewaySlot(ordinal: number): string {
  return `gw.${ordinal}`;
}

const GATEWAY_SLOTS: ReadonlySet<string> = new Set(
  Array.from({ length: MAX_GATEWAYS }, (_, ordinal) => gatewaySlot(ordinal)),
);

const GATEWAY_RULES: KindRules = {
  kind: 'gateway',
  schema: GATEWAY_SCHEMA,
  limit: GATEWAY_LIMIT,
  read(payload, place) {
    const gateway = parse(GATEWAY, payload);
    if (gatewaySlot(gateway.ordinal) !== place.slot) {
      refuse('wrong-slot', `it is about gateway ${gateway.ordinal} and stands in slot ${place.slot}`);
    }
    refuseOutside(gateway, place);
    return { kind: 'gateway', gateway };
  },
};

const MANIFEST_RULES: KindRules = {
  kind: 'manifest',
  schema: MANIFEST_SCHEMA,
  limit: MANIFEST_LIMIT,
  read: (payload) => ({ kind: 'manifest', manifest: parse(MANIFEST, payload) }),
};

/** The rules of a slot; undefined for slots that this program does not know (services are a later kind). */
export function rulesOf(slot: string): KindRules | undefined {
  if (slot === MANIFEST_SLOT) return MANIFEST_RULES;
  return GATEWAY_SLOTS.has(slot) ? GATEWAY_RULES : undefined;
}

/** Nobody's gateway, and somebody's loopback, link or multicast group: "this network", RFC 5735, RFC 4291, and what is reserved. */
const NOWHERE = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/96',
  'fe80::/10',
  'ff00::/8',
].map(parseCidr);

/** A gateway forwards to its own cluster's CIDRs, and its tunnels must not lead into the fabric. */
function refuseOutside(gateway: GatewayRecord, { certificate, fabric }: Place): void {
  const own = [...certificate.podCidrs, ...certificate.serviceCidrs];
  const foreign = gateway.cidrs.find((cidr) => !own.some((outer) => contains(outer, cidr)));
  if (foreign !== undefined) {
    refuse('outside-certificate', `it claims ${foreign}, which its certificate does not give it`);
  }
  const nowhere = gateway.endpoint?.addresses.find((address) =>
    NOWHERE.some((cidr) => contains(cidr, address)),
  );
  if (nowhere !== undefined) refuse('malformed', `its endpoint ${nowhere} is nobody's address`);
  const inner = [...own, fabric.v4, fabric.v6];
  const looped = gateway.endpoint?.addresses.find((address) => inner.some((cidr) => contains(cidr, address)));
  if (looped !== undefined) {
    refuse('outside-certificate', `its endpoint ${looped} lies inside the networks that tunnels lead to`);
  }
}

function parse<Output>(schema: v.GenericSchema<unknown, Output>, payload: unknown): Output {
  const result = v.safeParse(schema, payload, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  return refuse('malformed', `field "${v.getDotPath(issue) ?? ''}": ${issue.message}`);
}
