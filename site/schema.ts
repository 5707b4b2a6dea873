// What may stand in the files of a site directory, field by field.
// This module is pure.

import * as v from 'valibot';
import { FABRIC4_DEFAULT, MAX_GATEWAYS, MAX_INDEX, MAX_LANES, WIREGUARD_BASE_PORT } from '#lib/constants';
import { messageOf } from '#lib/errors';
import { isCidr4, isCidr6, parseAddress, parseCidr } from '#lib/ip';
import type { Cidr4, Cidr6 } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { parsePublicKey } from '#lib/wireguard';

/** Text that a parser of ours accepts; its reason for refusing is the issue's text. */
function parsed<T>(wanted: string, parse: (text: string) => T) {
  return v.pipe(
    v.string(wanted),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        addIssue({ message: `${messageOf(error)}; wanted ${wanted}` });
        return NEVER;
      }
    }),
  );
}

function integer(least: number, most: number) {
  const wanted = `a whole number from ${least} to ${most}`;
  return v.pipe(v.number(wanted), v.integer(wanted), v.minValue(least, wanted), v.maxValue(most, wanted));
}

const clusterId = parsed('a label such as "east"', parseClusterId);
const address = parsed('an address such as 192.0.2.10', parseAddress);
const cidr = parsed('a CIDR such as 10.1.0.0/16', parseCidr);
const publicKey = parsed('a WireGuard public key in base64', parsePublicKey);
const port = integer(1, 65_535);
const ordinal = integer(0, MAX_GATEWAYS - 1);
const addresses = v.pipe(
  v.array(address, 'a list of addresses'),
  v.minLength(1, 'at least one address'),
  v.readonly(),
);
const cidrs = v.pipe(v.array(cidr, 'a list of CIDRs'), v.readonly());
const name = v.pipe(v.string('a node name'), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, 'a host name'));

const cidr4 = parsed(`an IPv4 CIDR such as ${FABRIC4_DEFAULT}`, (text): Cidr4 => {
  const value = parseCidr(text);
  if (isCidr4(value)) return value;
  throw new SyntaxError(`"${text}" is IPv6`);
});
const cidr6 = parsed('an IPv6 CIDR such as fd12:3456:789a::/48', (text): Cidr6 => {
  const value = parseCidr(text);
  if (isCidr6(value)) return value;
  throw new SyntaxError(`"${text}" is IPv4`);
});

/** A node of the own cluster. What only gateways have is checked across fields, so that the reason can say so. */
const node = v.strictObject(
  {
    name,
    role: v.picklist(['gateway', 'worker'], '"gateway" or "worker"'),
    ordinal: v.exactOptional(ordinal),
    addresses,
    podCIDRs: v.optional(cidrs, []),
    endpoint: v.exactOptional(
      v.strictObject({ addresses, port: v.exactOptional(port) }, 'addresses and a port'),
    ),
  },
  'a node with name, role and addresses',
);

/** `site.yaml`: the own cluster as its operators describe it. */
export const siteSchema = v.strictObject(
  {
    cluster: clusterId,
    podCIDRs: v.pipe(v.array(cidr, 'a list of CIDRs'), v.minLength(1, 'at least one CIDR'), v.readonly()),
    serviceCIDRs: v.optional(cidrs, []),
    lanes: v.optional(integer(1, MAX_LANES), 1),
    listenPort: v.optional(port, WIREGUARD_BASE_PORT),
    link: v.optional(v.picklist(['direct', 'vxlan'], '"direct" or "vxlan"'), 'vxlan'),
    nodes: v.pipe(v.array(node, 'a list of nodes'), v.minLength(1, 'at least one node'), v.readonly()),
  },
  'the fields of a site',
);

/** `clusterset.yaml`: what membership gave the own cluster. */
export const clustersetSchema = v.strictObject(
  {
    clusterset: v.pipe(v.string('the clusterset id'), v.minLength(1, 'the clusterset id')),
    cluster: clusterId,
    index: integer(1, MAX_INDEX),
    fabric: v.strictObject({ v4: cidr4, v6: cidr6 }, 'the prefixes v4 and v6'),
    clusters: v.pipe(v.array(clusterId, 'a list of cluster ids'), v.readonly()),
    left: v.optional(v.boolean('true or false'), false),
  },
  'the fields of a clusterset',
);

/** `drains.yaml`: what is taken out of use on purpose. */
export const drainsSchema = v.strictObject(
  {
    gateways: v.pipe(v.array(name, 'a list of node names'), v.readonly()),
    clusters: v.pipe(v.array(clusterId, 'a list of cluster ids'), v.readonly()),
  },
  'the fields of drains',
);

/** `clusters/<id>.yaml`: another cluster as its certificate and its gateways' records describe it. */
export const clusterSchema = v.strictObject(
  {
    cluster: clusterId,
    index: integer(1, MAX_INDEX),
    podCIDRs: cidrs,
    serviceCIDRs: cidrs,
    gateways: v.pipe(
      v.array(
        v.strictObject(
          {
            ordinal,
            keys: v.pipe(
              v.array(publicKey, 'a list of keys, one a lane'),
              v.minLength(1, 'at least one key'),
              v.maxLength(MAX_LANES, `at most ${MAX_LANES} keys`),
              v.readonly(),
            ),
            endpoint: v.exactOptional(v.strictObject({ addresses, port }, 'addresses and a port')),
          },
          'a gateway with ordinal and keys',
        ),
        'a list of gateways',
      ),
      v.readonly(),
    ),
  },
  'the fields of a cluster',
);

export type SiteInput = v.InferOutput<typeof siteSchema>;
