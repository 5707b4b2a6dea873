import { execFileSync, spawn } from 'node:child_process';
import type { StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Capture,
  Lab,
  labNames,
  linkDown,
  linkUp,
  measureMatrix,
  measureThroughput,
  namespacesOf,
  setMtu,
  type ScenarioInput,
} from '#lab';
import test from 'ava';

/** Whatever other tests run at the same time on this machine: names of our own. */
const name = (suffix: string): string => `t${process.pid % 100_000}-${suffix}`;

/** Everything of the host that a lab must leave alone. */
function hostState(): string {
  const commands = [
    ['ip', '-j', 'addr'],
    ['ip', '-j', 'route', 'show', 'table', 'all'],
    ['ip', '-6', '-j', 'route', 'show', 'table', 'all'],
    ['ip', '-j', 'rule'],
    ['ip', '-6', '-j', 'rule'],
    ['nft', '-j', 'list', 'ruleset'],
    [
      'sh',
      '-c',
      'find /proc/sys/net -type f | grep -v -e /neigh/ -e /stat | sort | while read f; do echo "$f $(cat "$f" 2>/dev/null)"; done',
    ],
    ['sh', '-c', 'ls -A /etc /var/lib /run'],
    ['sh', '-c', 'cut -d" " -f5 /proc/self/mountinfo | grep -v /run/netns | sort'],
  ];
  // Lifetimes of learnt addresses count down, routes' caches and packet counters move.
  return commands
    .map(([program = '', ...args]) => execFileSync(program, args, { encoding: 'utf8' }))
    .join('\n')
    .replaceAll(/"(valid_life_time|preferred_life_time|expires)":\d+/g, '"$1":0')
    .replaceAll(/^.*(random\/|nf_conntrack_count|isthmus-lab|^netns$).*\n/gm, '');
}

const small: ScenarioInput['sites'] = {
  east: { gateways: 1, workers: 1 },
  west: { gateways: 1, workers: 1 },
};

/** Which of the tests' own packets go from one place to another: the shell's exit status. */
async function reaches(lab: Lab, from: string, to: string): Promise<boolean> {
  return lab
    .place(from)
    .exec(['ping', '-c', '1', '-W', '1', to])
    .then(
      () => true,
      () => false,
    );
}

/** Sooner or later: a neighbour that was not found a moment ago is not looked for at once. */
async function comesBack(lab: Lab, from: string, to: string): Promise<boolean> {
  for (let left = 10; left > 0; left -= 1) if (await reaches(lab, from, to)) return true;
  return false;
}

test.serial('Lab.up() and down leave the host as it was', async (t) => {
  const before = hostState();
  {
    await using lab = await Lab.up({ sites: small }, { name: name('host') });
    t.deepEqual((await namespacesOf(lab.name)).length, lab.layout.places.length);
    t.is(hostState(), before, 'while it runs');
  }
  t.deepEqual(await namespacesOf(name('host')), []);
  t.is(hostState(), before, 'afterwards');
});

test.serial('Lab.down() removes what a killed run left behind, from any moment of it', async (t) => {
  for (const afterMs of [150, 300, 500, 1500]) {
    const lab = name(`dead-${afterMs}`);
    const script = `const { Lab } = await import(${JSON.stringify(path.resolve('lab/mod.ts'))});
      const lab = await Lab.up({ sites: { east: {}, west: {} } }, { name: ${JSON.stringify(lab)} });
      await lab.node('east/gw-0').spawn({ role: 'hung', argv: ['sleep', '1000'] });
      await lab.kill({ role: 'hung' }, 'SIGSTOP');
      await new Promise(() => setInterval(() => {}, 1000));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
    await sleep(afterMs);
    child.kill('SIGKILL');
    await Lab.down(lab);
    t.deepEqual(await namespacesOf(lab), [], `killed after ${afterMs} ms`);
    t.false((await labNames()).includes(lab));
    const left = execFileSync('sh', ['-c', 'cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" || :'], {
      encoding: 'utf8',
    });
    t.false(left.includes(`ISTHMUS_LAB=${lab}\n`), 'no process carries its name');
  }
});

test.serial('A lab goes with whoever built it, however that ends, unless it is kept', async (t) => {
  for (const kept of [false, true]) {
    const lab = name(kept ? 'kept' : 'left');
    const script = `const { Lab } = await import(${JSON.stringify(path.resolve('lab/mod.ts'))});
      const lab = await Lab.up({ sites: { east: { gateways: 1, workers: 0 } } }, { name: ${JSON.stringify(lab)} });
      ${kept ? 'await lab.keep();' : ''}
      process.stdout.write('up');
      await new Promise(() => setInterval(() => {}, 1000));`;
    const stdio: StdioOptions = ['ignore', 'pipe', 'inherit'];
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio });
    await once(child.stdout ?? child, 'data');
    const places = (await namespacesOf(lab)).length;
    t.true(places > 0);
    child.kill('SIGKILL');
    for (let tries = 0; tries < (kept ? 10 : 200) && (await labNames()).includes(lab); tries += 1)
      await sleep(100);
    t.is((await namespacesOf(lab)).length, kept ? places : 0);
    await Lab.down(lab);
  }
});

test.serial('Lab.up() refuses a name that is taken, and removes what it began when it fails', async (t) => {
  await using lab = await Lab.up({ sites: { east: { gateways: 1, workers: 0 } } }, { name: name('taken') });
  await t.throwsAsync(Lab.up({ sites: small }, { name: lab.name }), { message: /there is one of that name/ });
  t.true((await namespacesOf(lab.name)).length > 0, 'the first one still runs');
  await t.throwsAsync(Lab.up({ sites: small }, { name: name('stop'), signal: AbortSignal.timeout(60) }));
  t.deepEqual(await namespacesOf(name('stop')), []);
});

test.serial('Two labs run side by side, and each is removed alone', async (t) => {
  await using a = await Lab.up({ sites: small }, { name: name('one') });
  const b = await Lab.up({ sites: small }, { name: name('two') });
  await a.node('east/gw-0').exec(['sh', '-c', 'echo a > /run/mark; echo a > /etc/isthmus/mark']);
  t.is(
    await b.node('east/gw-0').exec(['sh', '-c', 'cat /run/mark /etc/isthmus/mark 2>/dev/null; hostname']),
    'gw-0\n',
  );
  await b.down();
  t.is(
    await a.node('east/worker-1').exec(['cat', '/etc/isthmus/mark']),
    'a\n',
    'a site shares its directory',
  );
  await t.throwsAsync(
    a.node('east/worker-1').exec(['cat', '/run/mark']),
    undefined,
    'a node has its own /run',
  );
  t.true(await reaches(a, 'east/gw-0', '198.18.2.200'));
  const opened = await Lab.open(a.name);
  t.is((await opened.processes({ role: 'end' })).length, 4);
});

test.serial(
  'measureMatrix() tells what is reached, by which address it was seen, and what is not',
  async (t) => {
    await using lab = await Lab.up(
      {
        sites: {
          east: { gateways: 1, workers: 2, podsPerWorker: 1 },
          west: { gateways: 1, workers: 1, podsPerWorker: 1 },
        },
      },
      { name: name('matrix') },
    );
    const apart = await measureMatrix(lab, { timeoutMs: 1000 });
    t.is(
      apart.length,
      2 * (3 * 1 + 2 * 2),
      'both families: (2 pods + 1 host process) → 1 pod, (1 + 1) → 2 pods',
    );
    t.true(apart.every((pair) => !pair.reached && pair.error !== undefined));
    for (const protocol of ['tcp', 'udp'] as const) {
      const within = (await measureMatrix(lab, { within: true, sites: ['east'], protocol })).filter(
        (pair) => pair.from.kind === 'pod',
      );
      t.is(within.length, 4);
      t.true(within.every((pair) => pair.reached && pair.kept && (pair.rttMs ?? 0) > 0));
    }
    await lab.node('east/worker-1').exec(['nft', 'add', 'rule', 'inet', 'kube', 'post', 'masquerade']);
    const masked = (await measureMatrix(lab, { within: true, sites: ['east'] })).filter(
      (pair) => pair.from.name === 'east/pod-a',
    );
    t.true(masked.every((pair) => pair.reached && !pair.kept));
  },
);

/** Whether a datagram that `from` sends to address and port arrives at place `at`. */
async function arrives(
  lab: Lab,
  from: string,
  at: string,
  target: readonly [string, number, number],
): Promise<boolean> {
  const [address, port, inside] = target;
  await using capture = await Capture.start(lab, {
    place: at,
    device: 'eth0',
    filter: `udp dst port ${inside}`,
  });
  const script = `require('node:dgram').createSocket('${address.includes(':') ? 'udp6' : 'udp4'}').send('x', ${port}, '${address}', () => process.exit())`;
  await lab.place(from).exec([process.execPath, '-e', script]);
  await sleep(100);
  return (await capture.stop()).length > 0;
}

test.serial(
  'NAT: a dial-out site reaches everybody and is reached by nobody; a forwarding one at its own ports',
  async (t) => {
    const sites: ScenarioInput['sites'] = {
      east: { gateways: 1, workers: 0 },
      edge: { gateways: 1, workers: 0, nat: 'dial-out' },
      home: { gateways: 2, workers: 0, nat: 'forward' },
    };
    await using lab = await Lab.up({ sites }, { name: name('nat') });
    for (const broker of ['198.19.255.2', '2001:db8:ff01::2'])
      for (const from of ['east/gw-0', 'edge/gw-0', 'home/gw-1'])
        t.true(await reaches(lab, from, broker), `${from} → ${broker}`);
    t.false(await reaches(lab, 'east/gw-0', '192.168.2.200'), 'no private address leaks');
    t.is(
      await lab
        .node('edge/gw-0')
        .exec(['cat', '/etc/isthmus/site.yaml'])
        .then((text) => text.includes('endpoint')),
      false,
    );
    for (const outside of ['198.19.2.2', '2001:db8:ff00:2::2'])
      t.false(await arrives(lab, 'east/gw-0', 'edge/gw-0', [outside, 51820, 51820]), `dial-out, ${outside}`);
    for (const outside of ['198.19.3.2', '2001:db8:ff00:3::2']) {
      t.true(await arrives(lab, 'east/gw-0', 'home/gw-0', [outside, 40_003, 51823]), `forwarded, ${outside}`);
      t.true(
        await arrives(lab, 'east/gw-0', 'home/gw-1', [outside, 40_064 + 63, 51820 + 63]),
        `forwarded, ${outside}`,
      );
      t.false(await arrives(lab, 'east/gw-0', 'home/gw-0', [outside, 22, 22]), `not forwarded, ${outside}`);
    }
    t.true((await lab.node('home/gw-1').exec(['cat', '/etc/isthmus/site.yaml'])).includes('port: 40064'));
  },
);

/** Pods of different sites reach each other over a plain route: what the fabric will do, without it. */
async function routePods(lab: Lab): Promise<void> {
  const net = lab.place('internet');
  for (const [at, site] of ['east', 'west'].entries()) {
    await lab.node(`${site}/gw-0`).exec(['nft', 'flush', 'ruleset']);
    await lab
      .place(`${site}/router`)
      .exec(['ip', 'route', 'add', `10.${at + 1}.0.0/16`, 'via', `198.18.${at + 1}.200`]);
    await net.exec(['ip', 'route', 'add', `10.${at + 1}.0.0/16`, 'via', `198.19.${at + 1}.2`]);
  }
}

const podsOnGateways: ScenarioInput['sites'] = {
  east: { gateways: 1, workers: 0, podsPerGateway: 2, hostProcesses: 0 },
  west: { gateways: 1, workers: 0, podsPerGateway: 2, hostProcesses: 0 },
};

test.serial('flowMbps caps each UDP flow alone, and nothing else', async (t) => {
  await using lab = await Lab.up(
    { internet: { flowMbps: 50 }, sites: podsOnGateways },
    { name: name('cap') },
  );
  await routePods(lab);
  const pair = {
    from: 'east/pod-a',
    to: 'west/pod-a',
    udpMbps: 120,
    datagram: 1400,
    seconds: 2,
    omitSeconds: 1,
  };
  const one = await measureThroughput(lab, { ...pair, udpMbps: 90 });
  t.true(one.mbps > 50 * 0.93 && one.mbps < 50 * 1.02, `one flow: ${one.mbps} Mbit/s`);
  const three = await measureThroughput(lab, { ...pair, udpMbps: 240, streams: 3 });
  t.true(three.mbps > 150 * 0.93 && three.mbps < 150 * 1.02, `three flows: ${three.mbps} Mbit/s`);
  const slow = await measureThroughput(lab, { ...pair, udpMbps: 40 });
  t.true((slow.lostPercent ?? 100) < 1, `below the cap: ${slow.lostPercent} % lost`);
  const tcp = await measureThroughput(lab, { from: 'east/pod-a', to: 'west/pod-a', seconds: 1 });
  t.true(tcp.mbps > 500, `TCP outside of any tunnel: ${tcp.mbps} Mbit/s`);
});

test.serial('mtu and uplinkMtu are what packets meet, and setMtu() changes them', async (t) => {
  const west = { ...podsOnGateways['west'], mtu: 9000, uplinkMtu: 1300 };
  await using lab = await Lab.up({ sites: { ...podsOnGateways, west } }, { name: name('mtu') });
  const passes = (from: string, to: string, size: number): Promise<boolean> =>
    lab
      .place(from)
      .exec(['ping', '-c', '1', '-W', '1', '-M', 'do', '-s', String(size - 28), to])
      .then(
        () => true,
        () => false,
      );
  t.true(await passes('west/gw-0', '198.18.2.254', 9000));
  t.false(await passes('west/gw-0', '198.18.2.254', 9001));
  t.true(await passes('east/gw-0', '198.18.2.200', 1300));
  t.false(await passes('east/gw-0', '198.18.2.200', 1301));
  await setMtu(lab, 'west/router', 'wan', 1400);
  await lab.node('east/gw-0').exec(['ip', 'route', 'flush', 'cache']);
  t.true(await passes('east/gw-0', '198.18.2.200', 1400));
});

test.serial('linkDown() cuts a node off, and linkUp() gives back what it had', async (t) => {
  await using lab = await Lab.up({ sites: small }, { name: name('link') });
  const state = (): Promise<string> =>
    lab
      .node('east/gw-0')
      .exec(['sh', '-c', 'for f in 4 6; do ip -$f route; ip -$f addr show eth0 | grep inet; done | sort']);
  const before = await state();
  for (const [place, device] of [
    ['east/gw-0', 'eth0'],
    ['east/router', 'gw-0'],
  ] as const) {
    await linkDown(lab, place, device);
    t.false(await reaches(lab, 'west/gw-0', '198.18.1.200'), `${place} ${device} down`);
    await linkUp(lab, place, device);
    t.true(await comesBack(lab, 'west/gw-0', '198.18.1.200'), `${place} ${device} up`);
    t.true(await comesBack(lab, 'west/gw-0', '2001:db8:1::200'), `${place} ${device} up, IPv6`);
    t.deepEqual((await state()).split('\n'), before.split('\n'));
  }
});

test.serial('Underlays and pods of one family each are built as described', async (t) => {
  const sites: ScenarioInput['sites'] = {
    east: { gateways: 1, workers: 2, podsPerWorker: 1, underlay: 'v4', pods: 'v6' },
    west: { gateways: 1, workers: 2, podsPerWorker: 1, underlay: 'v6', pods: 'v4' },
  };
  await using lab = await Lab.up({ sites }, { name: name('family') });
  const within = (await measureMatrix(lab, { within: true })).filter(
    (pair) => pair.from.site === pair.to.site && pair.from.kind === 'pod',
  );
  t.deepEqual(within.map((pair) => `${pair.from.name} ${pair.family} ${pair.kept}`).sort(), [
    'east/pod-a v6 true',
    'east/pod-b v6 true',
    'west/pod-a v4 true',
    'west/pod-b v4 true',
  ]);
  t.true(await reaches(lab, 'east/gw-0', '198.19.255.2'));
  t.false(await reaches(lab, 'east/gw-0', '2001:db8:ff01::2'));
  t.true(await reaches(lab, 'west/gw-0', '2001:db8:ff01::2'));
  t.false(
    (await fs.readFile(path.join(lab.home.site('west').directory, 'site.yaml'), 'utf8')).includes('198.18'),
  );
});
