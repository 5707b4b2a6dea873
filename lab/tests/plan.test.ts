import process from 'node:process';
import { Lab, measureMatrix } from '#lab';
import type { LabPlace, ScenarioInput } from '#lab';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ByHand } from './by-hand.ts';
import type { Answering } from './by-hand.ts';

const name = (suffix: string): string => `p${process.pid % 100_000}-${suffix}`;
const all: Answering = () => true;

/** Everybody hears everybody, as whom they are, in every family that both have. */
async function assertReached(t: ExecutionContext, lab: Lab): Promise<void> {
  const pairs = await measureMatrix(lab);
  const missed = pairs.filter(({ kept }) => !kept);
  t.deepEqual(
    missed.map(
      ({ from, to, family, seenAs, error }) => `${from.name} → ${to.name} ${family}: ${seenAs ?? error}`,
    ),
    [],
  );
  t.true(pairs.length > 0);
}

/** Applied everywhere without a failure, and nothing left to do. */
async function join(t: ExecutionContext, lab: Lab): Promise<ByHand> {
  const hand = await ByHand.join(lab);
  for (const [place, { failures }] of await hand.warm()) t.deepEqual(failures, [], place);
  for (const [place, { outcome }] of await hand.apply(all)) t.is(outcome, 'unchanged', place);
  return hand;
}

const one = { podsPerWorker: 1, podsPerGateway: 1 } as const;

for (const [title, sites] of [
  ['direct and VXLAN, two lanes', { east: { ...one, lanes: 2 }, west: { ...one, lanes: 2, link: 'vxlan' } }],
  [
    'IPv6 between the sites',
    { east: { ...one, underlay: 'v6' }, west: { ...one, underlay: 'dual', link: 'vxlan' } },
  ],
  [
    'IPv6 in one site alone',
    { east: { ...one, underlay: 'v6', link: 'vxlan' }, west: { ...one, underlay: 'dual' } },
  ],
  [
    'other numbers of gateways and lanes',
    { east: { ...one, gateways: 3, lanes: 3 }, west: { ...one, gateways: 1, workers: 1 } },
  ],
  ['a site that only dials out', { east: { ...one }, edge: { ...one, nat: 'dial-out', pods: 'v4' } }],
] as const satisfies readonly (readonly [string, ScenarioInput['sites']])[]) {
  test.serial(`plan() makes pods reach pods: ${title}`, async (t) => {
    await using lab = await Lab.up({ sites }, { name: name('reach') });
    await join(t, lab);
    await assertReached(t, lab);
  });
}

test.serial('plan() leads transit probes by exactly their gateway, and back by it', async (t) => {
  const sites = { east: { ...one, gateways: 1 }, west: { ...one, link: 'vxlan' } } as const;
  await using lab = await Lab.up({ sites }, { name: name('transit') });
  await join(t, lab);
  const east = lab.place('east/gw-0');
  const probe = (ordinal: number, worker: number, from: string): Promise<boolean> =>
    succeeds(east, ['ping', '-c', '3', '-i', '0.2', '-W', '1', '-I', from, transit(from, ordinal, worker)]);
  for (const from of ['100.64.1.0', 'fdfa:bfab:1:1::']) {
    for (const [ordinal, worker] of [
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
    ] as const) {
      t.true(await probe(ordinal, worker, from), `${from} by gateway ${ordinal} to worker ${worker}`);
    }
  }
  for (const key of ['net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0']) {
    await lab.place('west/gw-1').exec(['sysctl', '-qw', key]);
  }
  for (const from of ['100.64.1.0', 'fdfa:bfab:1:1::']) {
    t.true(await probe(0, 1, from), `${from} by the gateway that forwards`);
    t.false(await probe(1, 1, from), `${from} by the gateway that does not`);
  }
});

/** West's worker as reached through one of its gateways, in lane 0. */
function transit(from: string, ordinal: number, worker: number): string {
  if (!from.includes(':')) return `100.${64 + 8 * ordinal}.2.${worker}`;
  return `fdfa:bfab:1:${((ordinal << 13) | 2).toString(16)}::${worker}`;
}

test.serial(
  'plan() sends by a sibling what a gateway has no tunnel for, and says unreachable when none has',
  async (t) => {
    const sites = { east: { ...one }, west: { ...one } } as const;
    await using lab = await Lab.up({ sites }, { name: name('sibling') });
    const hand = await join(t, lab);
    await hand.apply((_, { place }) => place !== 'east/gw-0');
    await assertReached(t, lab);
    const sent = await lab.place('east/gw-0').exec(['cat', '/sys/class/net/ist-sib/statistics/tx_packets']);
    t.true(Number(sent) > 20, `${sent} packets to the sibling`);
    await hand.apply((_, { place }) => !place.startsWith('east/'));
    const pairs = await measureMatrix(lab, { timeoutMs: 1500 });
    t.deepEqual(
      pairs.filter(({ reached }) => reached),
      [],
    );
    // The kernel sends one such answer a second to each pod: in this crowd, others only time out.
    const errors = new Set(pairs.filter(({ from }) => from.site === 'east').map(({ error }) => error));
    t.true(errors.has('EHOSTUNREACH') && errors.has('ENETUNREACH'), [...errors].join());
  },
);

function succeeds(place: LabPlace, argv: readonly [string, ...string[]]): Promise<boolean> {
  return place.exec(argv).then(
    () => true,
    () => false,
  );
}
