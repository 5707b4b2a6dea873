// The table of operator-facing conditions.
// This module is pure.

/** error: packets do not flow that should; warning: they flow, and something is wrong or weak; info: worth knowing. */
export type Severity = 'error' | 'warning' | 'info';

interface Row {
  /** Three to six words, for a table's column. */
  readonly title: string;
  readonly severity: Severity;
  /** One sentence; `{name}` is replaced by the argument of that name. */
  readonly text: string;
}

/** Sorted by code. Codes are never given another meaning, and docs/reference/conditions.md lists each. */
export const CONDITIONS = {
  IST_BROKER_SILENT: {
    title: 'Membership agent is silent',
    severity: 'warning',
    text: 'The broker answers, but its membership agent is not heard: whether all changes arrive cannot be told',
  },
  IST_BROKER_UNREACHABLE: {
    title: 'Broker is not reachable',
    severity: 'warning',
    text: 'The broker is not reachable: {reason}. Packets flow as before, changes of other clusters do not arrive',
  },
  IST_CERTIFICATE_EXPIRED: {
    title: 'Certificate is past its date',
    severity: 'warning',
    text: 'The certificate of "{cluster}" should have been renewed by {date}. Nothing is cut off by a clock',
  },
  IST_CLAIM_OVERLAP: {
    title: 'Cluster overlaps another',
    severity: 'error',
    text: 'Cluster "{cluster}" is left out: its {claim} overlaps {other}',
  },
  IST_DIAL_OUT_BOTH: {
    title: 'Neither side can be dialled',
    severity: 'error',
    text: 'No direct tunnel to {peer}: neither side has an endpoint that the other can dial',
  },
  IST_DIRECTORY_DIFFERS: {
    title: 'Broker withholds part of directory',
    severity: 'warning',
    text: 'The broker does not show all of the directory that its membership agent signs for: members may be missing',
  },
  IST_DRAINED: {
    title: 'Out of use by drain',
    severity: 'info',
    text: 'The {kind} "{name}" is drained: nothing goes that way until `clusterctl undrain {kind} {name}`',
  },
  IST_FAMILY_UNSHARED: {
    title: 'No common address family',
    severity: 'error',
    text: 'Cluster "{cluster}" and this one share no address family: its addresses are unreachable from here',
  },
  IST_GATEWAY_BLOCKED: {
    title: 'Gateway does not forward',
    severity: 'error',
    text: 'No node behind this gateway answers {clusters} through it: {reason}. Own nodes take other gateways',
  },
  IST_GATEWAY_DEAF: {
    title: 'Far gateway does not forward',
    severity: 'warning',
    text: 'Gateway {peer} answers, and no node behind it does: packets take other gateways of its cluster, where there are any',
  },
  IST_GATEWAY_STOPPED: {
    title: 'Far gateway has no daemon',
    severity: 'warning',
    text: 'Gateway {peer} forwards, and no daemon answers probes there: it does not learn of changes',
  },
  IST_GATEWAY_UNLISTED: {
    title: 'Gateway is not in site.yaml',
    severity: 'error',
    text: '{reason}. It has taken back its record, so that nobody sends here, and keeps what stands',
  },
  IST_HOST_INCOMPLETE: {
    title: 'Host does not hold its plan',
    severity: 'error',
    text: 'Part of the plan could not be applied: {reason}. It is tried again',
  },
  IST_HOST_UNUSABLE: {
    title: 'Host cannot be brought up to date',
    severity: 'error',
    text: '{reason}. What was last applied stays in force',
  },
  IST_KEY_CONTESTED: {
    title: 'WireGuard key is contested',
    severity: 'error',
    text: 'Cluster "{cluster}" shows a WireGuard public key that an older cluster shows too: it gets no tunnel by that key',
  },
  IST_KEY_KEPT: {
    title: 'Key is not renewed',
    severity: 'info',
    text: 'Lane {lane} keeps a key that is due for renewal: nothing stands in for it on the way to {clusters}',
  },
  IST_KEY_UNWRITTEN: {
    title: 'Key cannot be written',
    severity: 'warning',
    text: 'No lane gets a new key: {reason}',
  },
  IST_LINK_ADDRESS: {
    title: 'Node lacks a link address',
    severity: 'error',
    text: 'Node "{node}" has no {family} address, which this cluster\'s VXLAN link uses: it is left out',
  },
  IST_LINK_TRUSTED: {
    title: 'Link is trusted',
    severity: 'info',
    text: 'Node "{node}" hands packets over {device} as they are: whoever is on that link can send with addresses of other clusters',
  },
  IST_MEMBERSHIP_REVOKED: {
    title: 'Membership is revoked',
    severity: 'error',
    text: 'The membership of "{cluster}" is revoked: it has no tunnels, and the addresses of other clusters stay unreachable',
  },
  IST_MEMBER_REFUSED: {
    title: 'Certificate is refused',
    severity: 'warning',
    text: 'A certificate for cluster "{cluster}" is refused: {reason}. An honest broker makes no such certificate',
  },
  IST_MTU_SMALL: {
    title: 'MTU is too small',
    severity: 'warning',
    text: 'Tunnels over {device} (MTU {mtu}) carry packets of {room} bytes: IPv6 pods need 1280',
  },
  IST_NO_PATH: {
    title: 'Cluster has no path',
    severity: 'error',
    text: 'No tunnel to cluster "{cluster}" answers, and no other gateway here leads there: its addresses are unreachable until one does',
  },
  IST_ORDINAL_CONTESTED: {
    title: 'Two gateways share an ordinal',
    severity: 'warning',
    text: 'Somebody with the key of this cluster writes slot {slot} as well: two gateways may have the same ordinal',
  },
  IST_PATH_BY_SIBLING: {
    title: 'Cluster reached by sibling only',
    severity: 'warning',
    text: 'No tunnel of this gateway to cluster "{cluster}" answers: its packets go by another gateway of this cluster',
  },
  IST_PATH_NARROW: {
    title: 'Path is too narrow',
    severity: 'warning',
    text: 'Path {tunnel} carries packets of {room} bytes: IPv6 pods need 1280. Other paths take its packets, where there are any',
  },
  IST_PROBE_REFUSED: {
    title: 'Paths cannot be probed',
    severity: 'error',
    text: 'Probes cannot be sent from {address} port {port}: {reason}. Only far kernels tell whether paths from there work',
  },
  IST_RECORD_REFUSED: {
    title: 'Record is refused',
    severity: 'warning',
    text: 'A record of cluster "{cluster}" is refused: {reason}. What was last known good stays in force',
  },
  IST_RECORD_UNSAID: {
    title: 'Own record is not said',
    severity: 'warning',
    text: 'What other clusters should know of this gateway cannot be said: {reason}. They keep what they know, and it is tried again',
  },
  IST_SITE_INVALID: {
    title: 'Site directory is invalid',
    severity: 'error',
    text: '{reason}. What was last read stays in force',
  },
  IST_SITE_UNWRITABLE: {
    title: 'Site directory cannot be written',
    severity: 'error',
    text: '{reason}. Workers do not learn of changes until it can',
  },
  IST_SOURCE_MISSING: {
    title: 'Node has no source address',
    severity: 'warning',
    text: 'Node "{node}" has no {family} address inside the pod CIDRs: its host-network processes do not reach other clusters, and path MTU discovery through it fails',
  },
  IST_STATE_LOST: {
    title: 'Learnt state is lost',
    severity: 'warning',
    text: 'What was known of other clusters is missing from "{directory}", or damaged: this host keeps what it holds until the broker was read',
  },
  IST_STATE_UNWRITTEN: {
    title: 'Learnt state is not on disk',
    severity: 'warning',
    text: 'What the broker says cannot be written to "{path}": {reason}. It is kept in memory and tried again',
  },
  IST_TUNNEL_DOWN: {
    title: 'Tunnel does not answer',
    severity: 'warning',
    text: 'Tunnel {tunnel} does not answer probes and carries nothing',
  },
  IST_WAITING_FOR_GATEWAY: {
    title: 'Site has no clusterset yet',
    severity: 'warning',
    text: 'There is no {file} yet: a gateway of this cluster writes it once it has joined',
  },
  IST_WIREGUARD_FAMILIES: {
    title: 'Both families on one device',
    severity: 'warning',
    text: 'Tunnel {tunnel} is silent over IPv6, and {device} has peers over IPv4 as well: wireguard-go as it is released sends such packets to a wrong address',
  },
  IST_WIREGUARD_USERSPACE: {
    title: 'WireGuard runs in userspace',
    severity: 'info',
    text: 'This kernel has no WireGuard: {program} does its work, at a lower throughput',
  },
} as const satisfies Readonly<Record<string, Row>>;

export type ConditionCode = keyof typeof CONDITIONS;

type Names<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;

/** What a code's text has places for. */
export type ConditionArguments<C extends ConditionCode> = Readonly<
  Record<Names<(typeof CONDITIONS)[C]['text']>, string>
>;
