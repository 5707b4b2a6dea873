import test from 'ava';
import { busyBetween, parseCores, stolenBetween } from './cores.ts';
import { faultOf } from '../faults/fault.ts';
import { droppedBy, type Run } from './measure.ts';
import { failoverPage } from './page.ts';
import { pool } from './pool.ts';
import type { Target } from './row.ts';
import { chooseRows } from './run.ts';
import { unsound } from './sound.ts';
import { renderRows, summarizeRow, summarizeVariant, type VariantResult } from './summary.ts';
import {
  emptiedAt,
  fittedAt,
  groupIn,
  memberOf,
  missing,
  mostSwitches,
  resized,
  switchesIn,
} from './switches.ts';
import { verdictsIn } from './verdicts.ts';

const GROUP = 'id 7401002 group 7400000/7400001/7400008 type resilient buckets 127 idle_timer 60 proto 73 ';

test('busyBetween() leaves out what stolenBetween() finds with the core that lost the most', (t) => {
  const stat = (first: string, second: string): string =>
    `cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 ${first}\ncpu1 ${second}\nintr 1 2 3\n`;
  const before = parseCores(stat('10 20 30 400 5 0 6 100 3 0', '1 1 1 1 1 1 1 50 0 0'));
  t.deepEqual(before, { own: 4780, idle: 4070, stolen: [1000, 500] });
  const after = parseCores(stat('30 30 60 420 5 0 6 120 3 0', '1 1 1 1 1 1 1 81 0 0'));
  t.is(stolenBetween(before, after), 310);
  t.is(busyBetween(before, after), 75);
  t.is(stolenBetween(before, before), 0);
  t.is(busyBetween(before, before), 0);
});

test('groupIn() reads cluster groups and nothing else', (t) => {
  t.deepEqual(groupIn(GROUP), { id: 7_401_002, index: 2, members: [7_400_000, 7_400_001, 7_400_008] });
  t.deepEqual(groupIn(`Deleted ${GROUP}`), { id: 7_401_002, index: 2, members: [] });
  t.is(groupIn('id 7475048 group 7475041 type resilient buckets 125 proto 73'), undefined, 'of siblings');
  t.is(groupIn('id 7400000 dev ist00 scope host proto 73'), undefined);
  t.is(groupIn('id 12 group 3/4 proto bird'), undefined);
  t.deepEqual(groupIn('id 7401002 group 7400000,3/7400001,1')?.members, [7_400_000, 7_400_001]);
});

test('memberOf() tells tunnels from gateways', (t) => {
  t.deepEqual(memberOf(7_400_009), { tunnel: '11', ordinal: 1 });
  t.deepEqual(memberOf(7_600_000), { tunnel: '00', ordinal: 0 });
  t.deepEqual(memberOf(7_475_041), { gateway: 1 });
  t.deepEqual(memberOf(7_600_200), { gateway: 0 });
  t.deepEqual(
    memberOf(7_400_000 + 10_048 + 64 * 90 + 17),
    { tunnel: '21', ordinal: 2 },
    'for an MTU of its own',
  );
});

/** A line each millisecond, from the first on. */
function told(...lines: readonly string[]): { at: number; line: string }[] {
  return lines.map((line, at) => ({ at, line }));
}

/** The tunnel with routes of an MTU of their own: 10,048 and 64 for each 16 bytes. */
function sized(id: number, mtu: number): string {
  return String(id + 10_048 + 4 * mtu);
}

test('switchesIn() says who left and who came, and nothing of what was there from the begin', (t) => {
  const less = GROUP.replace('/7400008', '');
  t.deepEqual(switchesIn('east/gw-0', told(GROUP, GROUP)), []);
  t.deepEqual(
    switchesIn('east/gw-0', told('id 7400000 dev ist00', GROUP, less, GROUP)).map(
      ({ at, member, change }) => [at, member, change],
    ),
    [
      [2, { tunnel: '10', ordinal: 1 }, 'left'],
      [3, { tunnel: '10', ordinal: 1 }, 'came'],
    ],
  );
  t.is(switchesIn('east/gw-0', told(GROUP, `Deleted ${GROUP}`)).length, 3);
});

test('switchesIn() calls an exchange for the same way with another size what it is', (t) => {
  const narrow = [7_400_000, 7_400_001, 7_400_008].reduce(
    (line, id) => line.replace(String(id), sized(id, 1280)),
    GROUP,
  );
  const switches = switchesIn('east/gw-0', told(GROUP, narrow, narrow.replace(/\/\d+ /, ' ')));
  t.deepEqual(
    switches.map(({ change }) => change),
    ['resized', 'resized', 'resized', 'left'],
  );
  t.is(resized(switches), 3);
  t.is(mostSwitches(switches), 1, 'and no change of membership');
  t.is(missing(switches), 1);
});

test('fittedAt() says when the last group sends nothing any more that is too large for a way', (t) => {
  const way = { ordinal: 0, carries: 1308 };
  const [large, wide, small] = [7_400_000, sized(7_400_000, 1312), sized(7_400_000, 1296)];
  const group = (...members: readonly (number | string)[]): string =>
    `id 7401002 group ${members.join('/')} type resilient`;
  const of = (...lines: readonly string[]): number => fittedAt(told(...lines), way);
  t.is(of(group(large, 7_400_008), group(small, sized(7_400_008, 1296))), 1, 'smaller packets');
  t.is(of(group(large, 7_400_008), group(7_400_008)), 1, 'no packets');
  t.is(of(group(large), group(wide), group(small)), 2, 'small enough');
  t.is(of(group(large), group(7_400_008), group(large), group(small)), 3, 'for good');
  t.is(of(group(large), group(wide)), Infinity);
  t.is(of(group(small)), Infinity, 'it knew before');
  t.is(of(), Infinity);
  t.is(
    of(group(large), group(large).replace('7401002', '7601002'), group(small)),
    Infinity,
    'one family only',
  );
});

test('emptiedAt() says when the last group was empty, and that one still is not', (t) => {
  const [four, six] = [GROUP, GROUP.replace('7401002', '7601002')];
  const less = GROUP.replace('/7400008', '');
  const of = (until: number, ...lines: readonly string[]): number => emptiedAt(told(...lines), until);
  t.is(of(9, four, six, less, `Deleted ${less}`, `Deleted ${six}`), 4);
  t.is(of(9, four, six, `Deleted ${four}`), Infinity, 'one family only');
  t.is(of(9, four, `Deleted ${four}`, four), Infinity, 'it came back');
  t.is(of(3, four, six, `Deleted ${four}`, `Deleted ${six}`), Infinity, 'only after the repair');
  t.is(of(9), Infinity);
});

test('droppedBy() refuses a fault whose rules nothing met', async (t) => {
  const made = (packets: number): ReturnType<typeof faultOf> =>
    faultOf('a path', undefined, async () => packets);
  t.is(await droppedBy(made(3)), 3);
  t.is(await droppedBy(faultOf('a host')), undefined, 'it is not made of rules');
  await t.throwsAsync(droppedBy(made(0)), { message: 'Cannot measure "a path": it dropped nothing' });
});

test('mostSwitches() counts the changes of one member in one group', (t) => {
  const less = GROUP.replace('/7400008', '');
  t.is(mostSwitches([]), 0);
  const of = (place: string, ...lines: readonly string[]): ReturnType<typeof switchesIn> =>
    switchesIn(place, told(...lines));
  t.is(mostSwitches(of('a', GROUP, less, GROUP, less)), 3);
  t.is(mostSwitches([...of('a', GROUP, less), ...of('b', GROUP, less)]), 1);
  t.is(missing(of('a', GROUP, less)), 1, 'missing() counts those that did not come back');
  t.is(missing(of('a', GROUP, less, GROUP)), 0);
});

const good: Run = {
  silenceMs: 300,
  tcpSilenceMs: 600,
  lost: 40,
  duplicated: 0,
  reordered: 2,
  tcpLost: 0,
  hit: 8,
  pauseMs: 12,
  cpu: 0.1,
  figures: {},
};
const control = {
  silenceMs: 20,
  tcpSilenceMs: 30,
  lost: 0,
  duplicated: 0,
  reordered: 0,
  tcpLost: 0,
  pauseMs: 12,
  cpu: 0.1,
};
const nothing = { control: null, runs: [] };
const limits = { silenceMs: 500, tcpLost: 0 };
const variant = { id: 'gateway-dead/local', what: 'east/gw-0', limits };

test('summarizeVariant() meets a target only if every run does', (t) => {
  const of = (...runs: readonly Run[]) => summarizeVariant({ ...variant, measured: { control, runs } });
  t.true(of(good, good).met);
  t.false(of(good, { ...good, silenceMs: 501 }).met);
  t.false(of(good, { ...good, tcpLost: 1 }).met);
  t.false(of().met, 'nothing was measured');
  t.false(
    summarizeVariant({ ...variant, measured: { control, runs: [good], error: 'interrupted' } }).met,
    'an attempt failed',
  );
  const { silenceMs, lost, runs, leastHit } = of(good, { ...good, silenceMs: 450, lost: 60, hit: 3 }, good);
  t.deepEqual(silenceMs, { median: 300, p95: 450, worst: 450 });
  t.is(lost, 60, 'that of the worst run');
  t.is(runs, 3);
  t.is(leastHit, 3);
});

test('summarizeVariant() holds a limit for a figure that nobody gave to be missed', (t) => {
  const wanted = { ...variant, limits: { switches: 3 } };
  const of = (figures: Run['figures']) =>
    summarizeVariant({ ...wanted, measured: { control, runs: [{ ...good, figures }] } });
  t.true(of({ switches: 3 }).met);
  t.false(of({ switches: 4 }).met);
  t.false(of({}).met);
  t.false(of({ switches: Infinity }).met);
});

test('summarizeVariant() wants as much as a target says at least', (t) => {
  const of = (least: Record<string, number>, run: Partial<Run> = {}): boolean =>
    summarizeVariant({ ...variant, least, measured: { control, runs: [good, { ...good, ...run }] } }).met;
  t.true(of({ hit: 8 }));
  t.false(of({ hit: 1 }, { hit: 0 }));
  t.false(of({ switches: 1 }, { figures: { switches: 1 } }), 'the other run knows of none');
});

test('unsound() tells of a generator that did not do what it was asked to', (t) => {
  const flow = { received: 0, lost: 0, duplicated: 0, reordered: 0, silenceMs: 0, pauseMs: 0 };
  const of = (sent: number, opened: number): string | undefined =>
    unsound(
      { flows: [], connections: [], udp: { ...flow, sent }, tcp: { opened, lost: 0, silenceMs: 0 } },
      { rate: 1000, connections: 20 },
      10_000,
    );
  t.is(of(20_000, 20), undefined);
  t.is(of(19_600, 20), undefined);
  t.is(of(19_500, 20), 'the generator sent only 97.5 % of what it should');
  t.is(of(20_000, 19), 'only 19 of 20 connections were open when it began');
});

test('summarizeRow() is met if all of its variants are, and counts their runs together', (t) => {
  const row = { id: 'gateway-dead', what: 'dead' };
  const local = { ...variant, measured: { control, runs: [good, good] } };
  const remote = {
    ...variant,
    id: 'gateway-dead/remote',
    measured: { control, runs: [{ ...good, silenceMs: 400 }, good] },
  };
  const both = summarizeRow(row, [local, remote]);
  t.like(both, { id: 'gateway-dead', runs: 2, met: true, lost: 40, tcpLost: 0 });
  t.deepEqual(both.silenceMs, { median: 300, p95: 400, worst: 400 });
  const part = summarizeRow(row, [
    local,
    { ...variant, measured: { ...nothing, error: 'this version has no such command' } },
  ]);
  t.false(part.met);
  t.is(part.runs, 2);
  t.is(summarizeRow(row, []).silenceMs, null);
});

test('renderRows() prints a line a variant', (t) => {
  const row = { id: 'path-dead', what: 'a path' };
  const run = { ...good, figures: { lossMs: 1900.5 } };
  const table = renderRows([
    summarizeRow(row, [
      { ...variant, id: 'path-dead/loss', limits: { lossMs: 2000 }, measured: { control, runs: [run] } },
      { ...variant, id: 'path-dead/both', measured: { ...nothing, error: 'Cannot go on\nat all' } },
      {
        ...variant,
        id: 'path-dead/drop',
        least: { hit: 1 },
        measured: { control, runs: [run], error: 'No' },
      },
    ]),
  ]);
  t.deepEqual(table.split('\n'), [
    'fault           runs  silence ms       TCP ms           lost  dup  reord  TCP lost  also                       target',
    'path-dead/loss  1     300 / 300 / 300  600 / 600 / 600  40    0    2      0         lossMs 1901 / 1901 / 1901  lossMs ≤ 2000                          met',
    'path-dead/both  0     –                –                –     –    –      –         –                          silenceMs ≤ 500, tcpLost ≤ 0           not measured: Cannot go on',
    'path-dead/drop  1     300 / 300 / 300  600 / 600 / 600  40    0    2      0         lossMs 1901 / 1901 / 1901  silenceMs ≤ 500, tcpLost ≤ 0, hit ≥ 1  missed: then failed: No',
  ]);
});

test('chooseRows() finds rows and variants by their ids', (t) => {
  t.is(chooseRows('path-dead')[0]?.variants.length, 5);
  t.deepEqual(
    chooseRows('path-dead/loss').flatMap(({ variants }) => variants.map(({ id }) => id)),
    ['path-dead/loss'],
  );
  t.throws(() => chooseRows('path'), { message: /Cannot measure "path": faults are gateway-dead, / });
  const ids = chooseRows(undefined).flatMap((row) => [row.id, ...row.variants.map(({ id }) => id)]);
  t.is(new Set(ids).size, ids.length);
});

const machine = { cpus: 2, cpu: 'one', kernel: '6.18.5', node: 'v24' };

test('verdictsIn() finds what a daemon decided and warned of since a moment, in a log that holds other things too', (t) => {
  const line = (time: string, fields: object): string => JSON.stringify({ level: 'info', time, ...fields });
  const log = [
    line('2026-01-01T00:00:01.000Z', { path: 'west/0#0', message: 'path west/0#0 up: too early' }),
    line('2026-01-01T00:00:02.000Z', { path: 'west/0#0', message: 'path west/0#0 down: lost' }),
    line('2026-01-01T00:00:03.000Z', { message: 'connected' }),
    line('2026-01-01T00:00:04.000Z', { level: 'warn', message: 'a watch ended' }),
    'Error: something that Node itself wrote',
    '',
  ].join('\n');
  t.deepEqual(verdictsIn(log, new Date('2026-01-01T00:00:02Z')), [
    { time: '2026-01-01T00:00:02.000Z', message: 'path west/0#0 down: lost' },
    { time: '2026-01-01T00:00:04.000Z', message: 'a watch ended' },
  ]);
});

test('pool() takes the runs of several documents together', (t) => {
  const row = { id: 'gateway-dead', what: 'dead' };
  const document = (...measured: readonly VariantResult['measured'][]): unknown => {
    const ids = ['gateway-dead/local', 'gateway-dead/remote'];
    const results = measured.map((each, at) => ({ ...variant, id: ids[at] ?? '', measured: each }));
    return JSON.parse(JSON.stringify({ machine, rows: [summarizeRow(row, results)], references: [] }));
  };
  const never = { ...good, silenceMs: Infinity };
  const today = (): Target => ({ limits });
  const { rows } = pool(
    [
      document({ control, runs: [good] }, { ...nothing, error: 'no' }),
      document({ control: { ...control, lost: 3 }, runs: [good, never] }, { control, runs: [good] }),
    ],
    today,
  );
  t.deepEqual(rows, [
    summarizeRow(row, [
      { ...variant, measured: { control: { ...control, lost: 3 }, runs: [good, good, never] } },
      { ...variant, id: 'gateway-dead/remote', measured: { control, runs: [good], error: 'no' } },
    ]),
  ]);
  t.false(rows[0]?.variants[1]?.met, 'an attempt failed');
  t.throws(() => pool([], today), { message: /there are no figures/ });
  const elsewhere = { machine: { ...machine, cpus: 64 }, rows: [], references: [] };
  t.throws(() => pool([document(), elsewhere], today), { message: /different machines/ });
});

test('pool() judges old runs by the targets of today, as far as they have figures for them', (t) => {
  const row = { id: 'gateway-dead', what: 'dead' };
  const document = (limits: Target['limits'], ...runs: readonly Run[]): unknown => {
    const result = { ...variant, limits, measured: { control, runs } };
    return JSON.parse(JSON.stringify({ machine, rows: [summarizeRow(row, [result])], references: [] }));
  };
  const old = document({ silenceMs: 500 }, good, good);
  const of = (target: Target, ...documents: readonly unknown[]) =>
    pool(documents, () => target).rows[0]?.variants[0];
  t.true(of({ limits: { silenceMs: 300 } }, old)?.met);
  t.false(of({ limits: { silenceMs: 299 } }, old)?.met);
  t.false(of({ limits: {}, least: { hit: 9 } }, old)?.met);
  const target = { limits: { mtuMs: 3000 }, least: { left: 1 } };
  t.like(of(target, old), { met: true, judged: { mtuMs: 0, left: 0 } });
  const with900 = document(target.limits, { ...good, figures: { mtuMs: 900 } });
  t.like(of(target, old, with900), {
    met: true,
    runs: 3,
    judged: { mtuMs: 1, left: 0 },
    figures: { mtuMs: { median: 900, p95: 900, worst: 900, runs: 1 } },
  });
  t.false(of(target, old, document(target.limits, good))?.met, 'this document wanted it');
  t.like(pool([old], () => undefined).rows[0]?.variants[0], { limits: { silenceMs: 500 }, met: true });
});

test('failoverPage() holds a row a variant, and what others need for the same', (t) => {
  const row = { id: 'gateway-dead', what: 'dead' };
  const still = {
    ...variant,
    id: 'static/gateway-dead',
    measured: { control, runs: [{ ...good, silenceMs: 8000 }] },
  };
  const result = {
    machine,
    rows: [
      summarizeRow(row, [
        { ...variant, measured: { control, runs: [{ ...good, figures: { newMs: Infinity } }] } },
        { ...variant, id: 'gateway-dead/remote', measured: { ...nothing, error: 'no' } },
        {
          ...variant,
          id: 'gateway-dead/both',
          measured: { control: { ...control, lost: 2 }, runs: [good], error: 'no|more' },
        },
      ]),
    ],
    references: [summarizeRow({ id: 'static', what: 'by hand' }, [still])],
  };
  const page = failoverPage(
    pool([JSON.parse(JSON.stringify(result))], () => ({ limits, least: { hit: 1 } })),
  );
  t.regex(page, /\| `gateway-dead\/local` .* 300 \/ 300 \/ 300 .* newMs never \/ never \/ never .* met \|/);
  t.regex(page, /\| `gateway-dead\/local` .* tcpLost ≤ 0, hit ≥ 1 \| met \|/);
  t.regex(page, /\| `gateway-dead\/remote` .* not measured: no \|/);
  t.regex(
    page,
    /\| `gateway-dead\/both` .* 40 \/ 0 \/ 2 \(control 2 \/ 0 \/ 0\) .* missed: then failed: no\/more \|/,
  );
  t.regex(page, /\| `gateway-dead\/local` \| 300 \| more than 27: it never recovers \| 57 to 66 \|/);
});
