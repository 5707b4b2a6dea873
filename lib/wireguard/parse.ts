// Device to us: `wg show all dump`, one line a device or peer, fields between tabs.
// This module is pure.

import type { Address, Cidr } from '#lib/ip';
import type { Endpoint } from './config.ts';
import type { Device, Peer } from './device.ts';
import type { PublicKey } from './public-key.ts';

const DEVICE_FIELDS = 5;
const PEER_FIELDS = 9;
const ADDRESS = String.raw`\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*`;
const ENDPOINT = new RegExp(
  String.raw`^(?:\[([0-9a-f:.]+)(?:%[^\]]+)?\]|(\d{1,3}(?:\.\d{1,3}){3})):(\d{1,5})$`,
);
const CIDR = new RegExp(String.raw`^(?:${ADDRESS})/\d{1,3}$`);
const KEY = /^[A-Za-z0-9+/]{43}=$/;
const NONE = '(none)';

/** Devices in the order of the dump. Throws SyntaxError that names the line, never what stands in it: it may be a key. */
export function parseDump(text: string): Device[] {
  const devices: Growing[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const fields = line.split('\t');
    if (fields.length === DEVICE_FIELDS) devices.push(parseDevice(fields, at + 1));
    else peersOf(devices.at(-1), fields, at + 1).push(parsePeer(fields, at + 1));
  }
  return devices;
}

type Growing = Device & { readonly peers: Peer[] };

function peersOf(device: Growing | undefined, fields: readonly string[], line: number): Peer[] {
  if (device !== undefined && fields.length === PEER_FIELDS && device.name === fields[0]) return device.peers;
  return refuse(line, 'it describes neither a device nor a peer of the device above');
}

function parseDevice(fields: readonly string[], line: number): Growing {
  const [name = '', , publicKey = '', port = '', mark = ''] = fields;
  return {
    name,
    ...(publicKey !== NONE && { publicKey: keyOf(publicKey, line) }),
    listenPort: countOf(port, line),
    fwmark: mark === 'off' ? 0 : countOf(mark, line),
    peers: [],
  };
}

function parsePeer(fields: readonly string[], line: number): Peer {
  const field = (at: number): string => fields[at] ?? '';
  const [endpoint, allowed, keepalive] = [field(3), field(4), field(8)];
  return {
    publicKey: keyOf(field(1), line),
    hasPresharedKey: field(2) !== NONE,
    ...(endpoint !== NONE && { endpoint: endpointOf(endpoint, line) }),
    allowedIps: allowed === NONE ? [] : allowed.split(',').map((cidr) => cidrOf(cidr, line)),
    latestHandshake: countOf(field(5), line),
    received: countOf(field(6), line),
    sent: countOf(field(7), line),
    keepalive: keepalive === 'off' ? 0 : countOf(keepalive, line),
  };
}

function refuse(line: number, reason: string): never {
  throw new SyntaxError(`Cannot parse line ${line} of "wg show all dump": ${reason}`);
}

function keyOf(text: string, line: number): PublicKey {
  return isKey(text) ? text : refuse(line, 'a public key is not base64 of 32 bytes');
}

function isKey(text: string): text is PublicKey {
  return KEY.test(text);
}

function countOf(text: string, line: number): number {
  return /^(?:\d{1,19}|0x[0-9a-f]{1,8})$/.test(text) ? Number(text) : refuse(line, 'a number is not one');
}

/** A link-local endpoint has a zone, which we never configure. */
function endpointOf(text: string, line: number): Endpoint {
  const match = ENDPOINT.exec(text);
  const address = match?.[1] ?? match?.[2] ?? '';
  return isPrinted(address)
    ? { address, port: Number(match?.[3]) }
    : refuse(line, 'an endpoint is not address and port');
}

/** `wg` prints canonical text (inet_ntop), so it is looked at, not parsed: there are thousands. */
function isPrinted(text: string): text is Address {
  return text !== '';
}

function cidrOf(text: string, line: number): Cidr {
  return isPrintedCidr(text) ? text : refuse(line, 'an allowed IP is not a CIDR');
}

function isPrintedCidr(text: string): text is Cidr {
  return CIDR.test(text);
}
