import test from 'ava';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { parseAddress, parseCidr } from '#lib/ip';
import type { NetworkState, Run } from '#lib/linux';
import { applyState, EMPTY_STATE, readState } from '#lib/linux';
import type { DeviceConfig, PublicKey } from '#lib/wireguard';
import {
  applyDevices,
  detectWireGuard,
  openWireGuard,
  PrivateKey,
  readDevices,
  WireGuardError,
} from '#lib/wireguard';
import { eventually, Machine } from './machine.ts';

const a = parseAddress;
const c = parseCidr;

/** One tunnel device with an inner address of each family. */
function network(host: number): NetworkState {
  return {
    ...EMPTY_STATE,
    links: [{ kind: 'wireguard', name: 'ist00', mtu: 1420, group: 73 }],
    addresses: [
      { device: 'ist00', address: a(`100.64.${host}.0`), prefix: 32, scope: 'link', deprecated: false },
      { device: 'ist00', address: a(`fdfa:1::${host}`), prefix: 128, scope: 'global', deprecated: true },
    ],
  };
}

async function up(machine: Machine, host = 1): Promise<void> {
  const { wireguard } = await openWireGuard(machine.run, { logDir: machine.stateDir });
  await applyState(machine.run, network(host), { stateDir: machine.stateDir, wireguard });
}

const device = (more: Partial<DeviceConfig> = {}): DeviceConfig => ({
  name: 'ist00',
  privateKey: PrivateKey.generate(),
  listenPort: 51820,
  fwmark: 0x100000,
  peers: [],
  ...more,
});
const key = (): PublicKey => PrivateKey.generate().publicKey;

test('applyDevices() joins two machines, v4 and v6, and keeps every key off the command line', async (t) => {
  await using east = await Machine.start();
  await using west = await Machine.start();
  await east.wire(west, 'e0');
  const keys = [PrivateKey.generate(), PrivateKey.generate()] as const;
  const said: string[] = [];
  for (const [at, machine] of [east, west].entries()) {
    const [host, other] = at === 0 ? [1, 2] : [2, 1];
    await machine.sh(`ip addr add 192.0.2.${host}/24 dev e0; ip link set e0 up`);
    await up(machine, host);
    await machine.sh(
      `ip route add 100.64.${other}.0/32 dev ist00; ip -6 route add fdfa:1::${other} dev ist00`,
    );
    const run: Run = (command) => {
      said.push(command.argv.join(' '));
      return machine.run(command);
    };
    const peer = {
      publicKey: keys[other === 1 ? 0 : 1].publicKey,
      endpoint: { address: a(`192.0.2.${other}`), port: 51820 },
      allowedIps: [c(`100.64.${other}.0/32`), c(`fdfa:1::${other}/128`)],
      keepalive: 0,
    };
    const applied = await applyDevices(run, [device({ privateKey: keys[at === 0 ? 0 : 1], peers: [peer] })]);
    t.deepEqual(applied.failures, []);
  }
  t.regex(await east.sh('ping -c 3 -i 0.2 -W 6 -I 100.64.1.0 100.64.2.0'), / [1-3] received/);
  t.regex(await east.sh('ping -c 3 -i 0.2 -W 6 -I fdfa:1::1 fdfa:1::2'), / [1-3] received/);
  t.true(((await readDevices(east.run))[0]?.peers[0]?.latestHandshake ?? 0) > 0);
  for (const secret of keys) t.false(said.some((line) => line.includes(secret.reveal())));
});

test('applyDevices() is idempotent, repairs damage of every kind and leaves other devices alone', async (t) => {
  await using machine = await Machine.start();
  await up(machine);
  const [one, two, three] = [key(), key(), key()];
  const endpoint = { address: a('2001:db8::9'), port: 51820 };
  const config = device({
    peers: [
      { publicKey: one, endpoint, allowedIps: [c('10.2.0.0/16'), c('fd10:2::/32')], keepalive: 0 },
      { publicKey: two, allowedIps: [], keepalive: 25 },
    ],
  });
  t.is((await applyDevices(machine.run, [config])).outcome, 'changed');
  t.is((await applyDevices(machine.run, [config])).outcome, 'unchanged');
  const peersOf = async (): Promise<unknown> =>
    (await readDevices(machine.run)).map(({ peers, ...rest }) => ({
      ...rest,
      peers: peers
        .map((peer) => ({ ...peer, received: 0, sent: 0 }))
        .sort((x, y) => (x.publicKey < y.publicKey ? -1 : 1)),
    }));
  const whole = await peersOf();
  const damage = [
    `wg set ist00 peer ${one} remove`,
    `wg set ist00 peer ${three} allowed-ips 10.2.0.0/16,10.9.0.0/16`,
    `wg set ist00 peer ${two} allowed-ips 0.0.0.0/0 persistent-keepalive 1`,
    `wg set ist00 peer ${one} endpoint 192.0.2.66:9`,
    `wg genpsk > /run/psk; wg set ist00 peer ${one} preshared-key /run/psk`,
    'wg set ist00 listen-port 7 fwmark 9',
    'wg genkey > /run/key; wg set ist00 private-key /run/key',
  ];
  for (const line of damage) {
    await machine.sh(line);
    const { outcome, failures } = await applyDevices(machine.run, [config]);
    t.deepEqual(failures, [], line);
    t.is(outcome, 'changed', line);
    t.deepEqual(await peersOf(), whole, line);
    t.is((await applyDevices(machine.run, [config])).outcome, 'unchanged', line);
  }
});

test('applyDevices() configures a thousand peers at once, and removes them', async (t) => {
  await using machine = await Machine.start();
  await up(machine);
  const peers = Array.from({ length: 1000 }, (_, at) => ({
    publicKey: key(),
    endpoint: { address: a('192.0.2.9'), port: 51820 },
    allowedIps: [c(`10.${at >> 8}.${at & 255}.0/24`), c(`fd10:0:${(at + 1).toString(16)}::/48`)],
    keepalive: 0,
  }));
  const config = device({ peers });
  for (const [what, wanted] of [
    ['1,000 peers', config],
    ['one peer less', { ...config, peers: peers.slice(1) }],
    ['no peers', { ...config, peers: [] }],
  ] as const) {
    const start = performance.now();
    const { outcome, failures } = await applyDevices(machine.run, [wanted]);
    t.log(`${what}: ${Math.round(performance.now() - start)} ms`);
    t.deepEqual([outcome, failures.length], ['changed', 0]);
    t.is((await applyDevices(machine.run, [wanted])).outcome, 'unchanged');
  }
});

test('applyDevices() names a device that is missing and configures the others', async (t) => {
  await using machine = await Machine.start();
  await up(machine);
  const { outcome, failures } = await applyDevices(machine.run, [device({ name: 'ist55' }), device()]);
  t.is(outcome, 'incomplete');
  t.deepEqual(
    failures.map(({ isNotFound, message }) => [isNotFound, message]),
    [[true, 'Cannot configure "ist55": there is no such WireGuard device']],
  );
  t.is((await readDevices(machine.run))[0]?.listenPort, 51820);
});

test('detectWireGuard() leaves no device behind, and says what to install where there is neither', async (t) => {
  await using machine = await Machine.start();
  await detectWireGuard(machine.run);
  t.false((await machine.sh('ip -o link')).includes('ist'));
  const without: Run = (command) => {
    const isWireGuard = command.argv.includes('wireguard') || command.argv[0] === 'wireguard-go';
    return isWireGuard ? machine.sh('echo "Error: Unknown device type." >&2; exit 2') : machine.run(command);
  };
  const error = await t.throwsAsync(() => detectWireGuard(without), { instanceOf: WireGuardError });
  t.true(error?.isUnsupported);
  t.regex(error?.message ?? '', /Install one of them$/);
});

test('a WireGuard device outlives the process that made it', async (t) => {
  await using machine = await Machine.start();
  const door = (name: string): string => join(import.meta.dirname, '..', '..', 'lib', name, 'mod.ts');
  const program = `
    import { applyState, EMPTY_STATE, inNamespace, runCommand } from ${JSON.stringify(door('linux'))};
    import { openWireGuard } from ${JSON.stringify(door('wireguard'))};
    const run = inNamespace(runCommand, ${machine.pid});
    const { wireguard } = await openWireGuard(run, { logDir: ${JSON.stringify(machine.stateDir)} });
    const links = [{ kind: 'wireguard', name: 'ist00', mtu: 1420, group: 73 }];
    await applyState(run, { ...EMPTY_STATE, links }, { stateDir: ${JSON.stringify(machine.stateDir)}, wireguard });
    process.kill(-process.pid, 'SIGKILL');`;
  const child = promisify(execFile)('setsid', ['-w', process.execPath, '--input-type=module', '-e', program]);
  await t.throwsAsync(child);
  t.is((await applyDevices(machine.run, [device()])).outcome, 'changed');
});

test('applyState() starts a userspace device anew after its process was killed', async (t) => {
  await using machine = await Machine.start();
  const { kind, wireguard } = await openWireGuard(machine.run, { logDir: machine.stateDir });
  const apply = (wanted: NetworkState): ReturnType<typeof applyState> =>
    applyState(machine.run, wanted, { stateDir: machine.stateDir, wireguard });
  await apply(network(1));
  t.is((await readState(machine.run)).links[0]?.userspace, kind === 'userspace');
  if (kind === 'kernel') return;
  const [pid = 0] = await machine.pids('wireguard-go');
  process.kill(pid, 'SIGKILL');
  t.true(await eventually(async () => (await readState(machine.run)).links.length === 0));
  t.true((await machine.sh('ls /run/wireguard')).includes('ist00.sock'));
  t.deepEqual((await apply(network(1))).failures, []);
  t.is((await apply(network(1))).outcome, 'unchanged');
  t.is((await applyDevices(machine.run, [device()])).outcome, 'changed');
  await apply(EMPTY_STATE);
  t.true(await eventually(async () => (await machine.pids('wireguard-go')).length === 0));
});
