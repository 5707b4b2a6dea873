import test from 'ava';
import * as fc from 'fast-check';
import { inspect } from 'node:util';
import { parseAddress, parseCidr } from '#lib/ip';
import { CommandError } from '#lib/linux';
import { applyDevices, changeDevices } from './client.ts';
import type { DeviceConfig, PeerConfig } from './config.ts';
import type { Device, Peer } from './device.ts';
import { checkConfig, diffDevice } from './diff.ts';
import type { DeviceChange, PeerChange } from './diff.ts';
import { WireGuardError } from './errors.ts';
import { PrivateKey } from './key.ts';
import { parsePublicKey } from './public-key.ts';
import { parseDump } from './parse.ts';
import { endpointText, renderArguments, renderConf, renderRemovals } from './render.ts';
import { parseTransfers } from './transfer.ts';

// Pairs made by wireguard-tools.
const SECRET = 'GBDUYNnu3Q4s3FVwUpk0p9wSdjGUBrkbXQMIfRyh0Xo=';
const A = parsePublicKey('oDbX6yScN3brlOUsDvvxW2zetAzEvTyIDiVzjnvbPlE=');
const B = parsePublicKey('Qd0OXVvyGeosUvIFaXcuasFKe2LnOCn2620G+waqbg0=');
const C = parsePublicKey('DRVcaYD8Nd6oH214iLi8KyQKbrgpKmpQYQTigy1JgzE=');
const ZERO = `${'A'.repeat(43)}=`;

test('PrivateKey.generate() makes clamped keys that differ', (t) => {
  const [one, other] = [PrivateKey.generate(), PrivateKey.generate()];
  t.not(one.reveal(), other.reveal());
  const bytes = Buffer.from(one.reveal(), 'base64');
  t.is((bytes[0] ?? 0) & 7, 0);
  t.is((bytes[31] ?? 0) >> 6, 1);
});

test('PrivateKey derives the public key that wg pubkey does', (t) => {
  t.is(String(PrivateKey.parse(SECRET).publicKey), 'OSrntouke04a2JX5YiEKD0MV5ObFhURGZeMVyO7YbiE=');
});

test('PrivateKey.parse() clamps as the kernel does', (t) => {
  const wild = Buffer.alloc(32, 0xff).toString('base64');
  const bytes = Buffer.from(PrivateKey.parse(wild).reveal(), 'base64');
  t.deepEqual([bytes[0], bytes[31]], [0xf8, 0x7f]);
});

test('PrivateKey does not print', (t) => {
  const key = PrivateKey.parse(SECRET);
  const printed = [
    String(key),
    JSON.stringify({ key }),
    inspect(key, { showHidden: true, depth: 9 }),
    inspect({ key }),
  ];
  for (const text of printed) {
    t.regex(text, /\[redacted\]/);
    t.false(text.includes(SECRET.slice(0, 12)));
  }
  t.false(Object.values(key).includes(SECRET));
});

test('PrivateKey.shared() is the secret of two, another for another use, and refuses a key of small order', (t) => {
  const [one, other] = [PrivateKey.generate(), PrivateKey.generate()];
  const secret = one.shared(other.publicKey, 'a use');
  t.true(secret.equals(other.shared(one.publicKey, 'a use')));
  t.false(secret.equals(one.shared(other.publicKey, 'another')));
  const small = Buffer.alloc(32);
  small[0] = 1;
  t.throws(() => one.shared(parsePublicKey(small.toString('base64')), 'a use'), {
    instanceOf: RangeError,
    message: /^Cannot share a secret with "AQAA.*": it is a key of small order$/,
  });
});

test('PrivateKey.equals() compares values', (t) => {
  t.true(PrivateKey.parse(SECRET).equals(PrivateKey.parse(SECRET)));
  t.false(PrivateKey.parse(SECRET).equals(PrivateKey.generate()));
});

test('PrivateKey.parse() and parsePublicKey() refuse what is no key, and only the public one is repeated', (t) => {
  for (const bad of [
    '',
    'x',
    ZERO,
    SECRET.slice(1),
    `${SECRET}=`,
    `${SECRET.slice(0, 42)}p=`,
    `${SECRET.slice(0, 43)}\n`,
  ]) {
    const error = t.throws(() => PrivateKey.parse(bad), {
      instanceOf: SyntaxError,
      message: /^Cannot parse private key: /,
    });
    t.false(bad.length > 20 && (error?.message ?? '').includes(bad.slice(0, 20)));
    t.throws(() => parsePublicKey(bad), { instanceOf: SyntaxError, message: /^Cannot parse public key/ });
  }
});

const DUMP = [
  `ist00\t${SECRET}\t${A}\t51820\t0x100000`,
  `ist00\t${B}\t(none)\t192.0.2.9:51820\t10.2.0.0/16,fd10:2::/32\t1763700000\t100\t200\toff`,
  `ist00\t${C}\tc2VjcmV0\t[2001:db8::9]:51828\t(none)\t0\t0\t148\t25`,
  'ist01\t(none)\t(none)\t54096\toff',
  `wg0\t(none)\t(none)\t1\toff`,
  `wg0\t${B}\t(none)\t[fe80::1%eth0]:7\t0.0.0.0/0\t0\t0\t0\toff`,
  '',
].join('\n');

test('parseDump() reads devices and peers, and keeps no secret', (t) => {
  const devices = parseDump(DUMP);
  t.deepEqual(devices as unknown[], [
    {
      name: 'ist00',
      publicKey: A,
      listenPort: 51820,
      fwmark: 0x100000,
      peers: [
        {
          publicKey: B,
          hasPresharedKey: false,
          endpoint: { address: '192.0.2.9', port: 51820 },
          allowedIps: ['10.2.0.0/16', 'fd10:2::/32'],
          latestHandshake: 1763700000,
          received: 100,
          sent: 200,
          keepalive: 0,
        },
        {
          publicKey: C,
          hasPresharedKey: true,
          endpoint: { address: '2001:db8::9', port: 51828 },
          allowedIps: [],
          latestHandshake: 0,
          received: 0,
          sent: 148,
          keepalive: 25,
        },
      ],
    },
    { name: 'ist01', listenPort: 54096, fwmark: 0, peers: [] },
    {
      name: 'wg0',
      listenPort: 1,
      fwmark: 0,
      peers: [
        {
          publicKey: B,
          hasPresharedKey: false,
          endpoint: { address: 'fe80::1', port: 7 },
          allowedIps: ['0.0.0.0/0'],
          latestHandshake: 0,
          received: 0,
          sent: 0,
          keepalive: 0,
        },
      ],
    },
  ]);
  t.false(JSON.stringify(devices).includes(SECRET));
  t.deepEqual(parseDump(''), []);
});

function refusesOrReads(text: string): boolean {
  try {
    parseDump(text);
    return true;
  } catch (error) {
    return (
      error instanceof SyntaxError &&
      /^Cannot parse line \d+ of "wg show all dump": /.test(error.message) &&
      !error.message.includes(SECRET.slice(0, 8))
    );
  }
}

test('parseDump() refuses altered and cut-off dumps with the line, and repeats none of it', (t) => {
  const edit = fc.record({
    at: fc.nat(DUMP.length),
    gone: fc.nat(40),
    text: fc.oneof(fc.string(), fc.constantFrom('\t', '\n', '(none)', '-1')),
  });
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 4 }), (edits) =>
      refusesOrReads(
        edits.reduce(
          (text, { at, gone, text: put }) => text.slice(0, at) + put + text.slice(at + gone),
          DUMP,
        ),
      ),
    ),
    { seed: 73, numRuns: 3000 },
  );
  fc.assert(fc.property(fc.string({ unit: 'binary' }), refusesOrReads), { seed: 74 });
  t.pass();
});

const cidrs = (...texts: string[]): PeerConfig['allowedIps'] => texts.map(parseCidr);
const endpoint = { address: parseAddress('192.0.2.9'), port: 51820 };
const peer = (
  publicKey: typeof A,
  ips: PeerConfig['allowedIps'],
  more: Partial<PeerConfig> = {},
): PeerConfig => ({
  publicKey,
  allowedIps: ips,
  keepalive: 0,
  ...more,
});
const privateKey = PrivateKey.parse(SECRET);
const config = (...peers: PeerConfig[]): DeviceConfig => ({
  name: 'ist00',
  privateKey,
  listenPort: 51820,
  fwmark: 0x100000,
  peers,
});
const held = (one: PeerConfig, more: Partial<Peer> = {}): Peer => ({
  hasPresharedKey: false,
  latestHandshake: 0,
  received: 0,
  sent: 0,
  ...one,
  ...more,
});
const device = (...peers: Peer[]): Device => ({
  name: 'ist00',
  publicKey: privateKey.publicKey,
  listenPort: 51820,
  fwmark: 0x100000,
  peers,
});
const textOf = (change: DeviceChange | undefined): string | undefined =>
  change && renderConf(change, privateKey.reveal());

test('renderConf() configures an empty device with one text', (t) => {
  const change = diffDevice(
    { name: 'ist00', listenPort: 5, fwmark: 0, peers: [] },
    config(peer(B, cidrs('10.2.0.0/16', 'fd10:2::/32'), { endpoint }), peer(C, [], { keepalive: 25 })),
    { now: 0 },
  );
  t.is(
    textOf(change),
    `[Interface]
PrivateKey = ${privateKey.reveal()}
ListenPort = 51820
FwMark = 1048576
[Peer]
PublicKey = ${B}
Endpoint = 192.0.2.9:51820
AllowedIPs = 10.2.0.0/16, fd10:2::/32
PersistentKeepalive = 0
[Peer]
PublicKey = ${C}
PersistentKeepalive = 25
`,
  );
});

test('diffDevice() says nothing where nothing differs, in whatever order', (t) => {
  const have = device(
    held(peer(C, cidrs('10.3.0.0/16'))),
    held(peer(B, cidrs('fd10:2::/32', '10.2.0.0/16'), { endpoint })),
  );
  const want = config(
    peer(B, cidrs('10.2.0.0/16', 'fd10:2::/32'), { endpoint }),
    peer(C, cidrs('10.3.0.0/16')),
  );
  t.is(diffDevice(have, want, { now: 0 }), undefined);
});

test('diffDevice() writes the private key only where it differs', (t) => {
  const change = diffDevice(device(), { ...config(), fwmark: 0 }, { now: 0 });
  t.is(textOf(change), '[Interface]\nFwMark = off\n');
});

test('diffDevice() clears a preshared key, and removes strangers', (t) => {
  const have = device(held(peer(A, [])), held(peer(B, []), { hasPresharedKey: true }));
  const change = diffDevice(have, config(peer(B, [])), { now: 0 });
  t.is(textOf(change), `[Peer]\nPublicKey = ${B}\nPresharedKey = ${ZERO}\nPersistentKeepalive = 0\n`);
  t.deepEqual(change && renderRemovals(change), [['peer', A, 'remove']]);
});

test('diffDevice() moves a CIDR by the addition alone', (t) => {
  const have = device(held(peer(A, cidrs('10.2.0.0/16', '10.3.0.0/16'))), held(peer(B, [])));
  const change = diffDevice(have, config(peer(A, cidrs('10.2.0.0/16')), peer(B, cidrs('10.3.0.0/16'))), {
    now: 0,
  });
  t.deepEqual(
    change?.change.map(({ publicKey }) => publicKey),
    [B],
  );
  const both = diffDevice(have, config(peer(A, []), peer(B, cidrs('10.3.0.0/16'))), { now: 0 });
  t.deepEqual(
    both?.change.map(({ publicKey }) => publicKey),
    [B, A],
  );
});

test('diffDevice() leaves a peer where it has roamed to while it is alive', (t) => {
  const roamed = { address: parseAddress('198.51.100.7'), port: 9 };
  const have = device(held(peer(B, [], { endpoint: roamed }), { latestHandshake: 1000 }));
  const want = config(peer(B, [], { endpoint }));
  t.is(diffDevice(have, want, { now: 1179 }), undefined);
  t.is(diffDevice(have, want, { now: 1179, before: want }), undefined);
  const written = [{ ...peer(B, [], { endpoint }), clearPresharedKey: false }];
  t.deepEqual(diffDevice(have, want, { now: 1180 })?.change, written);
  const before = config(peer(B, [], { endpoint: { ...endpoint, port: 7 } }));
  t.deepEqual(diffDevice(have, want, { now: 1001, before })?.change, written);
  t.is(diffDevice(have, config(peer(B, [])), { now: 9999 }), undefined);
});

test('checkConfig() refuses a CIDR that two peers claim', (t) => {
  t.throws(() => checkConfig(config(peer(A, cidrs('10.2.0.0/16')), peer(B, cidrs('10.2.0.0/16')))), {
    instanceOf: RangeError,
    message: `Cannot configure "ist00": 10.2.0.0/16 is claimed by ${A} and ${B}`,
  });
});

test('applyDevices() touches nothing where one device is refused', async (t) => {
  const calls: string[] = [];
  const twice = { ...config(peer(A, cidrs('10.2.0.0/16')), peer(B, cidrs('10.2.0.0/16'))), name: 'ist01' };
  const run = (command: { readonly argv: readonly string[] }): Promise<string> => {
    calls.push(command.argv.join(' '));
    return Promise.resolve('');
  };
  await t.throwsAsync(() => applyDevices(run, [config(), twice]), { instanceOf: RangeError });
  t.deepEqual(calls, []);
});

test('changeDevices() tells a device what is wanted otherwise, by one command and without looking', async (t) => {
  const calls: string[] = [];
  const run = ({ argv }: { readonly argv: readonly string[] }): Promise<string> => {
    calls.push(argv.join(' '));
    return Promise.resolve('');
  };
  const before = [config(peer(A, cidrs('10.2.0.0/16'), { endpoint }), peer(C, []))];
  const moved = { ...endpoint, port: 9 };
  const wanted = [config(peer(A, cidrs('10.2.0.0/16'), { endpoint: moved }), peer(B, []))];
  t.is((await changeDevices(run, wanted, before)).outcome, 'changed');
  const words = (key: string, rest: string): string => `peer ${key} ${rest}`;
  const stay = 'persistent-keepalive 0 allowed-ips';
  t.deepEqual(calls, [
    [
      `wg set ${wanted[0]?.name}`,
      words(B, `${stay} `),
      words(A, `endpoint ${endpointText(moved)} ${stay} 10.2.0.0/16`),
      words(C, 'remove'),
    ].join(' '),
  ]);
  t.is((await changeDevices(run, wanted, wanted)).outcome, 'unchanged');
  t.is(calls.length, 1);
});

test('renderArguments() says no secret, and no more than a command line is good for', (t) => {
  const change = { name: 'ist00', key: false, add: [], change: [], remove: [] };
  t.is(renderArguments({ ...change, key: true }), undefined);
  t.is(renderArguments({ ...change, change: [{ ...peer(A, []), clearPresharedKey: true }] }), undefined);
  t.is(renderArguments({ ...change, remove: Array.from({ length: 33 }, () => B) }), undefined);
  t.deepEqual(renderArguments({ ...change, fwmark: 7, listenPort: 9 }), ['listen-port', '9', 'fwmark', '7']);
});

test('renderRemovals() keeps every call below the limits of argv', (t) => {
  const remove = Array.from({ length: 1200 }, () => B);
  const calls = renderRemovals({ name: 'ist00', key: false, add: [], change: [], remove });
  t.deepEqual(
    calls.map((words) => words.length / 3),
    [500, 500, 200],
  );
});

test('endpointText() brackets IPv6', (t) => {
  t.is(endpointText({ address: parseAddress('2001:db8::1'), port: 51820 }), '[2001:db8::1]:51820');
});

test('WireGuardError tells missing devices, missing rights and missing support apart', (t) => {
  const from = (stderr: string): WireGuardError =>
    new WireGuardError(
      'configure "ist00"',
      new CommandError({ argv: ['wg'] }, stderr, { exitCode: 1, stderr }),
    );
  const answers = ({ isNotFound, isForbidden, isUnsupported }: WireGuardError): boolean[] => [
    isNotFound,
    isForbidden,
    isUnsupported,
  ];
  t.deepEqual(answers(from('Unable to access interface: No such device\n')), [true, false, false]);
  t.deepEqual(answers(from('Unable to access interface: Operation not permitted\n')), [false, true, false]);
  t.deepEqual(answers(from('Unable to access interface: Protocol not supported\n')), [false, false, true]);
  t.is(
    from('Unable to access interface: No such device\n').message,
    'Cannot configure "ist00": Unable to access interface: No such device',
  );
});

// ── Any device to any config ─────────────────────────────────────────────────────────────────────────────────────

/** What the kernel makes of a change: an allowed IP belongs to who was given it last. */
function obey(have: Device, change: DeviceChange, want: DeviceConfig): Device {
  let peers = have.peers;
  for (const one of [...change.add, ...change.change]) {
    const taken = new Set(one.allowedIps);
    const old = peers.find(({ publicKey }) => publicKey === one.publicKey);
    const others = peers
      .filter((other) => other !== old)
      .map((other) => ({ ...other, allowedIps: other.allowedIps.filter((cidr) => !taken.has(cidr)) }));
    peers = [...others, told(old, one)];
  }
  return {
    ...have,
    ...(change.key && { publicKey: want.privateKey.publicKey }),
    listenPort: change.listenPort ?? have.listenPort,
    fwmark: change.fwmark ?? have.fwmark,
    peers: peers.filter(({ publicKey }) => !change.remove.includes(publicKey)),
  };
}

/** What is not named stays as it was. */
function told(old: Peer | undefined, one: PeerConfig | PeerChange): Peer {
  const cleared = 'clearPresharedKey' in one && one.clearPresharedKey;
  const { publicKey, allowedIps, keepalive } = one;
  const where = one.endpoint ?? old?.endpoint;
  return {
    ...held({ publicKey, allowedIps, keepalive }),
    ...(where !== undefined && { endpoint: where }),
    hasPresharedKey: !cleared && old?.hasPresharedKey === true,
  };
}

const IPS = cidrs('10.2.0.0/16', '10.3.0.0/16', 'fd10:2::/32');
const maybeEndpoint = fc.constantFrom({}, { endpoint }, { endpoint: { ...endpoint, port: 9 } });
/** Each CIDR goes to one of the peers or to none. */
const peersOf = fc
  .tuple(
    fc.subarray([A, B, C]),
    fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
    fc.array(fc.tuple(maybeEndpoint, fc.constantFrom(0, 25), fc.boolean()), { minLength: 3, maxLength: 3 }),
  )
  .map(([keys, owners, details]) =>
    keys.map((key, at) => {
      const [where = {}, keepalive = 0, hasPresharedKey = false] = details[at] ?? [];
      return {
        ...held(
          peer(
            key,
            IPS.filter((_, ip) => owners[ip] === at),
            { keepalive, ...where },
          ),
        ),
        hasPresharedKey,
      };
    }),
  );

test('diffDevice() leads from any device to any config, and then says nothing', (t) => {
  const port = fc.constantFrom(1, 51820);
  fc.assert(
    fc.property(peersOf, peersOf, port, (has, wants, listenPort) => {
      const have = { ...device(...has), listenPort };
      const want = config(
        ...wants.map(({ publicKey, allowedIps, keepalive, endpoint: where }) =>
          peer(publicKey, allowedIps, { keepalive, ...(where && { endpoint: where }) }),
        ),
      );
      const change = diffDevice(have, want, { now: 1e6 });
      const reached = change === undefined ? have : obey(have, change, want);
      t.is(diffDevice(reached, want, { now: 1e6 }), undefined);
    }),
    { seed: 73, numRuns: 2000 },
  );
});

test('parseTransfers() reads what wg prints of all devices, and nothing else', (t) => {
  const text = `ist00\t${A}\t148\t92\nist10\t${B}\t0\t9007199254740991\n`;
  const all = [
    { device: 'ist00', peer: A, received: 148, sent: 92 },
    { device: 'ist10', peer: B, received: 0, sent: Number.MAX_SAFE_INTEGER },
  ];
  t.deepEqual(parseTransfers(text), all);
  t.deepEqual(
    parseTransfers(`Unable to access\n${text}ist20\t${C}\t1\nist20\tno key\t1\t2\nx\t${C}\tone\t2\n`),
    all,
  );
  t.deepEqual(parseTransfers(''), []);
});
