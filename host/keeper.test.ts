// When a keeper looks at the kernel, and when it knows without looking.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { METRIC_UNREACHABLE, TABLE_HERE } from '#lib/constants';
import { parseAddress, parseCidr } from '#lib/ip';
import { CommandError, EMPTY_STATE } from '#lib/linux';
import type { Command, Route, Run } from '#lib/linux';
import { PrivateKey } from '#lib/wireguard';
import type { PeerConfig } from '#lib/wireguard';
import type { HostPlan } from '#topology';
import { HostKeeper } from './keeper.ts';

const OWN = PrivateKey.generate();
const PEER: PeerConfig = { publicKey: PrivateKey.generate().publicKey, allowedIps: [], keepalive: 0 };
const endpoint = { address: parseAddress('192.0.2.1'), port: 51820 };

function plan(peers: readonly PeerConfig[]): HostPlan {
  const devices = [{ name: 'ist00', lane: 0, listenPort: 51820, fwmark: 0, peers }];
  return {
    network: EMPTY_STATE,
    devices,
    tunnels: [],
    links: [],
    echoes: [],
    conditions: [],
    remoteCidrs: [],
  };
}

/** A kernel that holds nothing but a device without peers, and says what it was asked. */
class Kernel {
  asked: string[] = [];

  readonly run: Run = ({ argv }: Command) => {
    this.asked.push(argv.join(' '));
    if (argv[0] === 'wg' && argv[1] === 'show') {
      return Promise.resolve(`ist00\t${OWN.reveal()}\t${OWN.publicKey}\t51820\toff\n`);
    }
    const shows = argv.includes('-batch') ? (argv.includes('-d') ? 3 : argv.includes('-6') ? 9 : 8) : 1;
    return Promise.resolve(argv[0] === 'nft' ? '{"nftables":[]}' : '[]\n'.repeat(shows));
  };

  /** What it was asked since the last question. */
  take(): string {
    const asked = this.asked.join('\n');
    this.asked = [];
    return asked;
  }
}

async function keeper(t: { teardown: (f: () => Promise<void>) => void }): Promise<{
  kernel: Kernel;
  keeper: HostKeeper;
  clock: { now: number };
}> {
  const stateDir = await mkdtemp(join(tmpdir(), 'isthmus-keeper-'));
  t.teardown(() => rm(stateDir, { recursive: true, force: true }));
  const kernel = new Kernel();
  const clock = { now: 0 };
  const options = { run: kernel.run, stateDir, wireguard: 'kernel', now: () => clock.now } as const;
  return { kernel, keeper: new HostKeeper(options), clock };
}

test('HostKeeper looks at the network once, and then only where something changed', async (t) => {
  const { kernel, keeper: own, clock } = await keeper(t);
  await own.hold(plan([PEER]), [OWN]);
  t.regex(kernel.take(), /^ip /m);
  t.is((await own.hold(plan([PEER]), [OWN])).outcome, 'unchanged');
  t.is(kernel.take(), '');
  clock.now = 30_000;
  await own.hold(plan([PEER]), [OWN]);
  t.regex(kernel.take(), /^ip /m);
});

test('HostKeeper changes peers by one command, without looking', async (t) => {
  const { kernel, keeper: own } = await keeper(t);
  await own.hold(plan([]), [OWN]);
  kernel.take();
  t.is((await own.hold(plan([PEER]), [OWN])).outcome, 'changed');
  t.is(kernel.take(), `wg set ist00 peer ${PEER.publicKey} persistent-keepalive 0 allowed-ips `);
});

test('HostKeeper looks at once after damage, and after a while at what it may have done itself', async (t) => {
  const { kernel, keeper: own, clock } = await keeper(t);
  await own.hold(plan([PEER]), [OWN]);
  own.noticed('ours');
  t.is(own.restMs, 1000);
  kernel.take();
  await own.hold(plan([PEER]), [OWN]);
  t.is(kernel.take(), '');
  clock.now = 1000;
  await own.hold(plan([PEER]), [OWN]);
  t.regex(kernel.take(), /^ip /m);
  own.noticed('damage');
  t.is(own.restMs, 0);
  await own.hold(plan([PEER]), [OWN]);
  t.regex(kernel.take(), /^ip /m);
});

test('HostKeeper takes a kicked peer out, puts it back, and leaves alone one that only dials in', async (t) => {
  const { kernel, keeper: own } = await keeper(t);
  const dialled = { ...PEER, endpoint };
  await own.hold(plan([dialled]), [OWN]);
  kernel.take();
  await own.kick([{ device: 'ist00', peer: PEER.publicKey }]);
  t.is(kernel.take(), `wg set ist00 peer ${PEER.publicKey} remove`);
  await own.hold(plan([dialled]), [OWN]);
  t.is(
    kernel.take(),
    `wg set ist00 peer ${PEER.publicKey} endpoint 192.0.2.1:51820 persistent-keepalive 0 allowed-ips `,
  );
  await own.hold(plan([PEER]), [OWN]);
  kernel.take();
  await own.kick([{ device: 'ist00', peer: PEER.publicKey }]);
  t.is(kernel.take(), '');
});

test('HostKeeper kicks all devices at once: one that hangs holds up none', async (t) => {
  const state = await mkdtemp(join(tmpdir(), 'isthmus-keeper-'));
  t.teardown(() => rm(state, { recursive: true, force: true }));
  const kernel = new Kernel();
  const started: string[] = [];
  const { promise: all, resolve } = Promise.withResolvers<void>();
  const run: Run = async (command) => {
    const { argv } = command;
    if (argv.at(-1) !== 'remove') return await kernel.run(command);
    started.push(argv[2] ?? '');
    if (started.length === 2) resolve();
    await all;
    return '';
  };
  const own = new HostKeeper({ run, stateDir: state, wireguard: 'kernel' });
  const { devices, ...rest } = plan([{ ...PEER, endpoint }]);
  const names = ['ist00', 'ist01'];
  await own.hold({ ...rest, devices: names.flatMap((name) => devices.map((one) => ({ ...one, name }))) }, [
    OWN,
  ]);
  await own.kick(names.map((device) => ({ device, peer: PEER.publicKey })));
  t.deepEqual(started, names);
});

test('HostKeeper leaves a device alone for a while that hung', async (t) => {
  const state = await mkdtemp(join(tmpdir(), 'isthmus-keeper-'));
  t.teardown(() => rm(state, { recursive: true, force: true }));
  const kernel = new Kernel();
  const clock = { now: 0 };
  const run: Run = async (command) => {
    const said = await kernel.run(command);
    const ending = { exitCode: null, stderr: '' };
    if (command.argv[0] === 'wg') throw new CommandError(command, 'no end after 1000 ms', ending);
    return said;
  };
  const own = new HostKeeper({ run, stateDir: state, wireguard: 'kernel', now: () => clock.now });
  const wanted = plan([{ ...PEER, endpoint }]);
  t.like(await own.hold(wanted, [OWN]), { outcome: 'incomplete' }, 'the network is held all the same');
  kernel.take();
  const kick = async (): Promise<string> => {
    await own.kick([{ device: 'ist00', peer: PEER.publicKey }]);
    await own.hold(wanted, [OWN]);
    return kernel.take();
  };
  const removal = `wg set ist00 peer ${PEER.publicKey} remove`;
  t.is(await kick(), removal, 'nobody waits for what would hang as well');
  t.is(await kick(), '');
  clock.now = 10_000;
  t.true((await kick()).startsWith(`${removal}\nip `), 'and it is looked at again');
});

test('HostKeeper tries again what is incomplete, ever more slowly', async (t) => {
  const { keeper: own, clock } = await keeper(t);
  const { devices, ...rest } = plan([]);
  const missing = { ...rest, devices: devices.map((device) => ({ ...device, name: 'ist01' })) };
  const waits: number[] = [];
  for (let count = 0; count < 7; count += 1) {
    t.is((await own.hold(missing, [OWN])).outcome, 'incomplete');
    waits.push(own.restMs);
    clock.now += own.restMs;
  }
  t.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  await own.hold(plan([]), [OWN]);
  t.is(own.restMs, 0);
  await own.hold(plan([]), [OWN]);
  t.is(own.restMs, 30_000);
});

const far = (id: number): Route => ({
  kind: 'unreachable',
  destination: parseCidr(`10.${id}.0.0/16`),
  table: TABLE_HERE,
  metric: METRIC_UNREACHABLE,
});

function routed(routes: readonly Route[]): HostPlan {
  return { ...plan([]), network: { ...EMPTY_STATE, routes } };
}

test('HostKeeper changes routes by one command, without looking, and looks when it is calm', async (t) => {
  const { kernel, keeper: own, clock } = await keeper(t);
  await own.hold(routed([]), [OWN]);
  kernel.take();
  t.is((await own.hold(routed([far(2)]), [OWN])).outcome, 'changed');
  t.is(kernel.take(), 'ip -force -batch -');
  own.noticed('ours');
  clock.now = 900;
  t.is((await own.hold(routed([]), [OWN])).outcome, 'changed');
  own.noticed('ours');
  t.is(own.restMs, 1000);
});

for (const [what, part] of [
  ['nexthop', { nexthops: [{ id: 7_401_001, family: 4, device: 'ist01' }] }],
  ['group', { groups: [{ id: 7_401_001, members: [7_400_001] }] }],
] as const)
  test(`HostKeeper does not look after a ${what} that it took away itself, but after one that it wants`, async (t) => {
    const { kernel, keeper: own } = await keeper(t);
    const gone = { nexthop: 7_401_001 };
    t.true(own.noticed(gone), 'nothing is known of what stands yet');
    const led = { ...plan([]), network: { ...EMPTY_STATE, ...part } };
    await own.hold(led, [OWN]);
    const changing = own.hold(plan([]), [OWN]);
    t.false(own.noticed(gone), 'the kernel tells while the command runs');
    await changing;
    t.is(own.restMs, 1000);
    await own.hold(led, [OWN]);
    kernel.take();
    t.true(own.noticed(gone));
    t.is(own.restMs, 0);
    await own.hold(led, [OWN]);
    t.regex(kernel.take(), /^nft -s -j/m);
  });

test('HostKeeper makes a change before a look that is due, but not for ever', async (t) => {
  const { kernel, keeper: own, clock } = await keeper(t);
  await own.hold(routed([]), [OWN]);
  kernel.take();
  own.noticed('damage');
  await own.hold(routed([far(2)]), [OWN]);
  t.is(kernel.take(), 'ip -force -batch -');
  t.is(own.restMs, 0);
  clock.now = 1001;
  await own.hold(routed([far(3)]), [OWN]);
  t.regex(kernel.take(), /^nft -s -j/m);
});

test('HostKeeper looks at least every 5 s at what never becomes calm', async (t) => {
  const { keeper: own, clock } = await keeper(t);
  await own.hold(plan([]), [OWN]);
  for (; clock.now < 4500; clock.now += 500) own.noticed('ours');
  t.is(own.restMs, 500);
});

test('HostKeeper looks again after a failure', async (t) => {
  const { keeper: own, kernel } = await keeper(t);
  const broken = new HostKeeper({
    run: () => Promise.reject(new Error('no')),
    stateDir: '/nonexistent',
    wireguard: 'kernel',
  });
  await t.throwsAsync(broken.hold(plan([]), []));
  t.is(broken.restMs, 0);
  t.is(own.applied, undefined);
  t.is(kernel.take(), '');
});
