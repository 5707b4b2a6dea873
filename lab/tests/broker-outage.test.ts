import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createClusterset,
  joinSite,
  Lab,
  measureMatrix,
  startBroker,
  startDaemon,
  startDaemons,
  stopBroker,
} from '#lab';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { kernels, Stillness } from './stillness.ts';
import type { Stream } from './stillness.ts';

// One lab for all: what one outage leaves behind, the next test finds.
const name = `o${process.pid % 100_000}`;
let lab: Lab;

const DATA = '/var/lib/isthmus/broker';
/** For whatever comes by itself, on a machine that has other things to do. */
const PATIENCE_MS = 60_000;

async function eventually(t: ExecutionContext, what: string, probe: () => Promise<boolean>): Promise<void> {
  const began = Date.now();
  while (!(await probe())) {
    if (Date.now() - began > PATIENCE_MS) throw new Error(`Waited in vain until ${what}`);
    await sleep(50);
  }
  t.log(`${Date.now() - began} ms until ${what}`);
}

/** On the broker's host. */
async function onBroker(script: string): Promise<void> {
  await lab.place('broker').exec(['sh', '-c', script]);
}

async function natsServers(): Promise<number[]> {
  return [...(await lab.programs('broker'))].flatMap(([pid, program]) =>
    program === 'nats-server' ? [pid] : [],
  );
}

/** Ends broker and nats-server as a power cut would. */
async function killBroker(): Promise<void> {
  await lab.kill({ role: 'broker' }, 'SIGKILL');
  for (const pid of await natsServers()) process.kill(pid, 'SIGKILL');
}

let said = 0xa000;

/**
 * Gives east's gateway another IPv6 endpoint, which nobody dials where there is IPv4: a record of which every kernel
 * stays as it is. Resolves to what has to be known of it elsewhere.
 */
async function sayAnew(): Promise<string> {
  said += 1;
  const address = `2001:db8:1::${said.toString(16)}`;
  const file = path.join(lab.home.site('east').directory, 'site.yaml');
  const before = await fs.readFile(file, 'utf8');
  const after = before.replace(/(endpoint:\n +addresses:\n +- \S+\n +- )"?[0-9a-f:]+"?/, `$1"${address}"`);
  if (after === before) throw new Error(`Cannot find the endpoint in ${before}`);
  await fs.writeFile(`${file}.new`, after);
  await fs.rename(`${file}.new`, file);
  return address;
}

/** Which sites' hosts know of it. */
async function isKnown(address: string, sites: readonly string[]): Promise<boolean> {
  const texts = sites.map((site) =>
    fs.readFile(path.join(lab.home.site(site).directory, 'clusters', 'east.yaml'), 'utf8').catch(() => ''),
  );
  return (await Promise.all(texts)).every((text) => text.includes(address));
}

/** Codes of what the gateways have to say, but for what is so in every lab. */
async function conditions(): Promise<string[]> {
  const gateways = await lab.processes({ role: 'gateway' });
  const said = await Promise.all(
    gateways.map(({ place }) => lab.place(place).exec(['clusterctl', 'show', 'conditions', '-o', 'json'])),
  );
  return said
    .flatMap((text) => [...text.matchAll(/IST_[A-Z_]+/g)].map(([code]) => code))
    .filter((code) => code !== 'IST_WIREGUARD_USERSPACE' && code !== 'IST_LINK_TRUSTED');
}

function streams(): readonly Stream[] {
  const [v4, v6] = ['v4', 'v6'].map(
    (family) =>
      (to: string): string =>
        lab.pod(to).end.addresses[family === 'v4' ? 'v4' : 'v6'] ?? '',
  );
  if (v4 === undefined || v6 === undefined) throw new TypeError('no families');
  return [
    ['east/pod-a', v4('west/pod-a')],
    ['west/pod-a', v6('east/pod-a')],
    ['west/pod-a', v4('east/pod-b')],
  ];
}

/** Whatever is done meanwhile: no kernel changes, no packet is lost, and what was said meanwhile is known everywhere in the end. */
async function unmoved(t: ExecutionContext, disturb: () => Promise<void>): Promise<void> {
  const before = await kernels(lab);
  await using watch = await Stillness.begin(lab, streams());
  await disturb();
  const { changes, sent, lost } = await watch.end();
  t.deepEqual(changes, [], 'what the kernels reported');
  t.deepEqual([...(await kernels(lab))], [...before]);
  t.true(sent > 50, `${sent} packets sent`);
  t.is(lost, 0, `of ${sent} packets`);
}

/** The broker is away and comes back; something is said while it is away. */
async function outage(t: ExecutionContext, steps: { gone: () => Promise<void>; back: () => Promise<void> }) {
  await unmoved(t, async () => {
    await steps.gone();
    const address = await sayAnew();
    await sleep(1500);
    t.false(await isKnown(address, ['west']), 'nobody can have heard it');
    await steps.back();
    await eventually(t, 'what was said meanwhile is known', () => isKnown(address, ['west']));
  });
  await eventually(t, 'nobody has anything to report', async () => (await conditions()).length === 0);
}

test.before(async (t) => {
  const site = { gateways: 1, workers: 1, podsPerWorker: 1, podsPerGateway: 1, hostProcesses: 0 };
  lab = await Lab.up({ sites: { east: site, west: site, north: { ...site, workers: 0 } } }, { name });
  await createClusterset(lab);
  await joinSite(lab, 'east');
  await startDaemons(lab, 'east');
  // What a backup would hold: one of the members, none of what comes later.
  await stopBroker(lab);
  await onBroker(`cp -a ${DATA} ${DATA}.old`);
  await startBroker(lab);
  await joinSite(lab, 'west');
  await startDaemons(lab, 'west');
  const isConnected = async (): Promise<boolean> =>
    (await measureMatrix(lab, { sites: ['east', 'west'] })).every(({ kept }) => kept);
  const began = Date.now();
  while (!(await isConnected()))
    if (Date.now() - began > PATIENCE_MS) throw new Error('the lab does not connect');
  t.log(`connected after ${Date.now() - began} ms`);
});

test.after.always(async () => {
  await Lab.down(name);
});

test('Nothing moves where nothing happens, and what is said is known everywhere', async (t) => {
  await unmoved(t, async () => {
    const address = await sayAnew();
    await eventually(t, 'it is known', () => isKnown(address, ['west']));
    await sleep(2000);
  });
});

test('A broker that is stopped and started again moves nothing', async (t) => {
  await outage(t, { gone: () => stopBroker(lab), back: () => startBroker(lab) });
});

test('A broker that is killed with -9 moves nothing; so does its nats-server alone', async (t) => {
  await outage(t, { gone: killBroker, back: () => startBroker(lab) });
  await unmoved(t, async () => {
    const [pid = 0] = await natsServers();
    process.kill(pid, 'SIGKILL');
    const address = await sayAnew();
    await eventually(t, 'it is known by a new nats-server', () => isKnown(address, ['west']));
    t.notDeepEqual(await natsServers(), [pid]);
  });
});

test('A broker that hangs moves nothing', async (t) => {
  let hung: readonly number[] = [];
  await outage(t, {
    gone: async () => {
      hung = await natsServers();
      for (const pid of hung) process.kill(pid, 'SIGSTOP');
      await sleep(8000);
    },
    back: async () => {
      for (const pid of hung) process.kill(pid, 'SIGCONT');
    },
  });
});

test('A broker that lost its stream, or all that its server had, moves nothing', async (t) => {
  for (const lost of ['nats/store', 'nats']) {
    await outage(t, {
      gone: async () => {
        await killBroker();
        await onBroker(`rm -r ${DATA}/${lost}`);
      },
      back: () => startBroker(lab),
    });
  }
});

test('A gateway whose broker is gone for all its life moves nothing', async (t) => {
  const restart = async (): Promise<void> => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      // Peers judge by what they hear: between two restarts they hear that all is well.
      await sleep(2000);
      await lab.kill({ role: 'gateway', place: 'west/gw-0' }, signal);
      await startDaemon(lab, 'west/gw-0');
      await eventually(t, 'the gateway is ready', async () => {
        const argv = ['clusterctl', 'show', 'tunnels', '-o', 'json'] as const;
        return (
          await lab
            .place('west/gw-0')
            .exec(argv)
            .catch(() => '')
        ).includes('"state": "up"');
      });
    }
  };
  await outage(t, {
    gone: async () => {
      await stopBroker(lab);
      await restart();
    },
    back: () => startBroker(lab),
  });
});

test('A broker put back from an old copy, which knows less, moves nothing and learns it again', async (t) => {
  await outage(t, {
    gone: async () => {
      await killBroker();
      await onBroker(`rm -r ${DATA}; cp -a ${DATA}.old ${DATA}`);
    },
    back: () => startBroker(lab),
  });
  const members = await lab.place('broker').exec(['clusterctl', 'broker', 'members', '-o', 'json']);
  t.true(members.includes('"west"'), members);
});

test('What was changed without the broker, and who joins when it is back, is reached by all', async (t) => {
  await using watch = await Stillness.begin(lab, streams());
  await stopBroker(lab);
  for (const site of ['east', 'west']) {
    const file = path.join(lab.home.site(site).directory, 'site.yaml');
    await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replace(/^lanes: 1$/m, 'lanes: 2'));
  }
  await sleep(1500);
  await startBroker(lab);
  await joinSite(lab, 'north');
  await startDaemons(lab, 'north');
  await eventually(t, 'both lanes and the new cluster are in every group', async () => {
    const groups = await Promise.all(
      ['east', 'west'].map((site) => lab.place(`${site}/gw-0`).exec(['ip', 'nexthop'])),
    );
    return groups.every((text) => {
      const sizes = [...text.matchAll(/^id 7401\d+ group (\S+)/gm)].map(
        ([, members = '']) => members.split('/').length,
      );
      return sizes.length === 2 && sizes.includes(1) && sizes.includes(2);
    });
  });
  await eventually(t, 'everybody reaches everybody', async () =>
    (await measureMatrix(lab)).every(({ kept }) => kept),
  );
  const { changes, lost, sent } = await watch.end();
  t.true(changes.length > 0, 'the watch sees changes where there are any');
  t.is(lost, 0, `of ${sent} packets`);
  await eventually(t, 'nobody has anything to report', async () => (await conditions()).length === 0);
});
