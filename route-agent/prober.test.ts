// A worker's prober between sockets on loopback, and what it counts as traffic.

import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Probes } from '#lib/probe';
import type { Speech } from '#lib/probe';
import { parseClusterId } from '#lib/names';
import type { LinkPlan, RemoteCluster } from '#topology';
import { Prober } from './prober.ts';
import { Traffic, packetsOf } from './traffic.ts';

const remotes = ['west', 'edge'].map((id, at): RemoteCluster => ({
  id: parseClusterId(id),
  index: at + 2,
  podCidrs: [],
  serviceCidrs: [],
  gateways: [],
}));

/** Links of one worker to so many gateways; each test has a network of its own. */
function linksOf(net: number, gateways: number): LinkPlan[] {
  return Array.from({ length: gateways }, (_, ordinal) => ({
    node: `gw-${ordinal}`,
    ordinal,
    local: `127.8.${net}.1`,
    remote: `127.8.${net}.${ordinal + 2}`,
  }));
}

/** The far end of a link, which says this of itself. */
function gateway(t: ExecutionContext, link: LinkPlan, speech: Speech): Disposable {
  const probes = new Probes<string>({
    onAnswer: () => {},
    onTold: () => {},
    onRefused: () => {},
    speak: () => speech,
  });
  probes.hold([{ id: 'worker', ends: [{ local: link.remote, remote: link.local }] }]);
  t.teardown(() => probes[Symbol.dispose]());
  return probes;
}

async function until(is: () => boolean): Promise<boolean> {
  for (let count = 0; !is() && count < 1000; count += 1) await delay(10);
  return is();
}

const SPEECH: Speech = { hears: 'yes', impaired: false, draining: false, blocked: false };

test('Prober counts a gateway as able until it is silent, and then leaves it out', async (t) => {
  const links = linksOf(1, 2);
  using prober = new Prober({ changed: () => {} });
  for (const link of links.slice(1)) gateway(t, link, { ...SPEECH, reach: new Set([3]) });
  prober.watch({ links, echoes: [] }, { remotes });
  t.deepEqual(
    prober.health().gateways,
    new Map([
      [0, new Set([2, 3])],
      [1, new Set([2, 3])],
    ]),
  );
  t.true(await until(() => prober.health().gateways?.get(1)?.size === 1));
  // Nobody listens at the first, and its kernel says so: it works.
  t.deepEqual(prober.health().gateways?.get(0), new Set([2, 3]));
});

test('Prober sends nothing by a gateway that is added before that has said whom it reaches', async (t) => {
  const links = linksOf(3, 2);
  using prober = new Prober({ changed: () => {} });
  const [first, added] = links;
  if (first === undefined || added === undefined) return;
  gateway(t, first, { ...SPEECH, reach: new Set([2, 3]) });
  prober.watch({ links: [first], echoes: [] }, { remotes });
  prober.watch({ links, echoes: [] }, { remotes });
  const known = (): number => prober.health().gateways?.get(1)?.size ?? 0;
  for (let at = 0; at < 20; at += 1) {
    t.is(known(), 0, 'its kernel refuses: no daemon is there yet');
    await delay(10);
  }
  gateway(t, added, { ...SPEECH, reach: new Set([3]) });
  t.true(await until(() => known() === 1));
  prober.watch({ links: [first], echoes: [] }, { remotes });
  prober.watch({ links, echoes: [] }, { remotes });
  t.is(known(), 0, 'it is another one now');
});

test('Prober leaves a gateway that drains to the clusters that no other reaches', async (t) => {
  const links = linksOf(2, 2);
  using prober = new Prober({ changed: () => {} });
  const [drained, staying] = links;
  if (drained === undefined || staying === undefined) return;
  gateway(t, drained, { ...SPEECH, draining: true, reach: new Set([2, 3]) });
  gateway(t, staying, { ...SPEECH, reach: new Set([3]) });
  prober.watch({ links, echoes: [] }, { remotes });
  t.true(await until(() => prober.health().gateways?.get(0)?.size === 1));
  t.true(await until(() => prober.health().gateways?.get(1)?.size === 1));
  t.deepEqual(
    prober.health().gateways,
    new Map([
      [0, new Set([2])],
      [1, new Set([3])],
    ]),
  );
});

test('Prober leaves a gateway whose daemon stays silent to the clusters that no other reaches', async (t) => {
  const links = linksOf(4, 2);
  const clock = { ahead: 0 };
  using prober = new Prober({ changed: () => {}, now: () => performance.now() + clock.ahead });
  const [silent, other] = links;
  if (silent === undefined || other === undefined) return;
  gateway(t, other, { ...SPEECH, reach: new Set([3]) });
  prober.watch({ links, echoes: [] }, { remotes });
  const refused = (): boolean =>
    [...prober.reports()].some(({ id, refusedSince }) => id === silent.node && refusedSince !== undefined);
  t.true(await until(() => prober.health().gateways?.get(1)?.size === 1 && refused()));
  t.deepEqual(prober.hung(), new Set());
  t.deepEqual(prober.health().gateways?.get(0), new Set([2, 3]), 'it may be restarted');
  clock.ahead = 5000;
  t.deepEqual(prober.hung(), new Set([silent.node]));
  t.deepEqual(prober.health().gateways?.get(0), new Set([2]));
  t.deepEqual(prober.health().gateways?.get(1), new Set([3]));
  gateway(t, silent, { ...SPEECH, reach: new Set([2, 3]) });
  t.true(await until(() => prober.hung().size === 0));
  t.deepEqual(prober.health().gateways?.get(0), new Set([2, 3]), 'it is back');
});

test('Prober knows of no gateways where a site has none', (t) => {
  using prober = new Prober({ changed: () => {} });
  t.deepEqual(prober.health(), {});
});

const DEVICES = (packets: number): string => `Inter-|   Receive                 |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100  900    0    0    0     0          0         0 100  900    0    0    0     0       0          0
ist-link:100  ${packets}    0    0    0     0          0         0 100  7    0    0    0     0       0          0
`;

test('packetsOf() adds what a device has received and sent', (t) => {
  t.deepEqual(packetsOf(DEVICES(5)).get('ist-link'), 12);
  t.deepEqual([...packetsOf('').keys()], []);
});

test('Traffic is more than the probes of so many gateways', async (t) => {
  const clock = { now: 0, packets: 0 };
  const traffic = new Traffic(
    () => clock.now,
    () => Promise.resolve(DEVICES(clock.packets)),
  );
  const look = async (packets: number): Promise<boolean> => {
    clock.now += 1000;
    clock.packets += packets;
    return await traffic.isBusy(new Set(['ist-link', 'gone']), 2);
  };
  t.false(await look(5000), 'nothing to compare with');
  t.false(await look(100));
  t.true(await look(500));
  t.false(await look(0));
});
