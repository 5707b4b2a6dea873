// Which routing table a packet is looked up in: by where it is from, as its mark says.
// This module is pure.

import {
  MARK_FABRIC,
  MARK_MASK,
  MARK_SIBLING,
  RULE_FABRIC,
  RULE_FABRIC_MAIN,
  RULE_FABRIC_NONE,
  RULE_HERE,
  RULE_SIBLING,
  RULE_VIA,
  TABLE_FABRIC,
  TABLE_HERE,
  TABLE_MAIN,
  TABLE_SIBLING,
  TABLE_VIA,
} from '#lib/constants';
import type { Family } from '#lib/ip';
import type { Rule } from '#lib/linux';
import { ordinalPrefix } from './fabric.ts';
import type { FabricPrefixes } from './fleet.ts';

const from = (value: number): NonNullable<Rule['mark']> => ({ value, mask: MARK_MASK });

/** From here: gateways or tunnels. */
export function hereRule(family: Family): Rule {
  return { family, priority: RULE_HERE, mark: from(0), action: { lookup: TABLE_HERE } };
}

/**
 * From the fabric: own workers' fabric addresses, else main without its default route, else unreachable; so what nobody
 * has does not leave in the clear. From a sibling: tunnels or nothing.
 */
export function gatewayRules(family: Family): Rule[] {
  const fabric = from(MARK_FABRIC);
  return [
    hereRule(family),
    { family, priority: RULE_FABRIC, mark: fabric, action: { lookup: TABLE_FABRIC } },
    { family, priority: RULE_SIBLING, mark: from(MARK_SIBLING), action: { lookup: TABLE_SIBLING } },
    {
      family,
      priority: RULE_FABRIC_MAIN,
      mark: fabric,
      action: { lookup: TABLE_MAIN, suppressPrefix: 0 },
    },
    { family, priority: RULE_FABRIC_NONE, mark: fabric, action: 'unreachable' },
  ];
}

/** A fabric answer leaves by the gateway that its source names: the destination does not say which of ours it came by. */
export function viaRule(fabric: FabricPrefixes, family: Family, ordinal: number): Rule {
  const prefix = ordinalPrefix(fabric, family, ordinal);
  return { family, priority: RULE_VIA, from: prefix, action: { lookup: TABLE_VIA + ordinal } };
}
