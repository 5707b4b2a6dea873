import process from 'node:process';
import { Capture, Lab, startClusterset } from '#lab';
import type { ScenarioInput } from '#lab';
import test from 'ava';
import { missedPairs, until } from './settled.ts';

// One lab for all: IPv4 and IPv6 pods everywhere, and every site another way of carrying them.
const name = `f${process.pid % 100_000}`;
let lab: Lab;

const each = { workers: 1, podsPerWorker: 1, podsPerGateway: 1, hostProcesses: 1 } as const;
const SITES = {
  four: { ...each, underlay: 'v4', gateways: 1, lanes: 2, link: 'direct' },
  fourx: { ...each, underlay: 'v4', gateways: 3, lanes: 1, link: 'vxlan' },
  six: { ...each, underlay: 'v6', gateways: 3, lanes: 2, link: 'direct' },
  sixx: { ...each, underlay: 'v6', gateways: 1, lanes: 1, link: 'vxlan' },
  both: { ...each, underlay: 'dual', gateways: 2, lanes: 2, link: 'vxlan' },
} as const satisfies ScenarioInput['sites'];
type Site = keyof typeof SITES;

/** Sites that share a family to carry tunnels, and the bytes that a tunnel between them has room for: 60 or 80 are WireGuard's. */
const PAIRS: readonly (readonly [Site, Site, number])[] = [
  ['four', 'fourx', 1440],
  ['four', 'both', 1440],
  ['fourx', 'both', 1440],
  ['six', 'sixx', 1420],
  ['six', 'both', 1420],
  ['sixx', 'both', 1420],
];
/** Nobody's packets may be larger than the room; where it is not the device's MTU, a multiple of 16 has to do. */
const PADDING = 16;
const HEADERS = { v4: 40, v6: 60 } as const;
const FAMILIES = ['v4', 'v6'] as const;

test.before(async () => {
  lab = await Lab.up({ sites: SITES }, { name });
  await startClusterset(lab);
});

test.after.always(async () => {
  await Lab.down(name);
});

/** From behind a worker to behind a gateway, both ways, and how much room there is. */
function ways(): readonly (readonly [from: string, to: string, room: number])[] {
  return PAIRS.flatMap(([a, b, room]) => [
    [podOf(a, 0), podOf(b, -1), room] as const,
    [podOf(b, 0), podOf(a, -1), room] as const,
  ]);
}

/** Those on workers come first, those on gateways last. */
function podOf(site: Site, at: 0 | -1): string {
  return (
    lab
      .site(site)
      .ends.filter(({ kind }) => kind === 'pod')
      .at(at)?.name ?? ''
  );
}

function addressOf(pod: string, family: 'v4' | 'v6'): string {
  return lab.pod(pod).end.addresses[family] ?? '';
}

test('Pods of both families reach each other by their own addresses, over tunnels of either', async (t) => {
  for (const [a, b] of PAIRS) await until(() => missedPairs(lab, { sites: [a, b], timeoutMs: 1500 }));
  for (const [a, b] of PAIRS) t.deepEqual(await missedPairs(lab, { sites: [a, b], protocol: 'udp' }), []);
});

/** Sends much to each address, which sends all of it back; prints what did not return. */
const ECHO = `
const { connect } = require('node:net');
const block = Buffer.alloc(1 << 20, 'x');
for (const host of process.argv.slice(1)) {
  let back = 0;
  const socket = connect(8080, host, () => socket.end(block));
  const timer = setTimeout(() => socket.destroy(), 30000);
  socket.on('data', (chunk) => { back += chunk.length; });
  socket.on('error', (error) => console.log(host + ' ' + error.code));
  socket.on('close', () => { clearTimeout(timer); if (back < block.length) console.log(host + ' ' + back); });
}`;

const SYN = 'tcp port 8080 and tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn';
const SYN6 = 'ip6 and tcp port 8080 and ip6[53] & 18 = 2';

/** The largest packets that were asked for in these openings of connections. */
function asked(lines: readonly string[]): number[] {
  return lines.flatMap((line) => {
    const mss = /mss (\d+)/.exec(line)?.[1];
    return mss === undefined ? [] : [Number(mss) + HEADERS[line.includes(' IP6 ') ? 'v6' : 'v4']];
  });
}

test('Large transfers pass both ways, in segments as large as the way has room for', async (t) => {
  for (const [from, to, room] of ways()) {
    await using capture = await Capture.start(lab, {
      place: to,
      device: 'eth0',
      filter: `(${SYN}) or (${SYN6})`,
    });
    const targets = FAMILIES.map((family) => addressOf(to, family));
    const lost = await lab.pod(from).exec([process.execPath, '-e', ECHO, ...targets], { timeoutMs: 60_000 });
    t.is(lost, '', `${from} → ${to}`);
    const sizes = asked(await capture.stop());
    t.is(sizes.length, targets.length, `${from} → ${to}`);
    t.true(
      sizes.every((size) => size <= room && size > room - PADDING),
      `${from} → ${to}: ${sizes.join()}, room for ${room}`,
    );
  }
});

/** Sends echo requests of so many bytes in all that may not be cut; says what came of it. */
async function unfragmented(from: string, to: string, bytes: number): Promise<string> {
  const headers = to.includes(':') ? 48 : 28;
  const ping = ['ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', '-M', 'do', '-s', `${bytes - headers}`, to];
  return lab.pod(from).exec(['sh', '-c', '"$@" 2>&1 || :', 'sh', ...ping]);
}

test('A packet that may not be cut passes where there is room for it, and is refused at the pod where there is none', async (t) => {
  const tried = ways().flatMap((way) => FAMILIES.map((family) => [...way, family] as const));
  const wrong = await Promise.all(
    tried.map(async ([from, to, room, family]) => {
      const address = addressOf(to, family);
      const small = await unfragmented(from, address, room - PADDING + 1);
      const large = await unfragmented(from, address, room + 1);
      if (small.includes(' 0% packet loss') && large.includes('message too long')) return [];
      return [`${from} → ${to} ${family}: ${small} ${large}`];
    }),
  );
  t.deepEqual(wrong.flat(), []);
});
