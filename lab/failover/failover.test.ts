import test from 'ava';
import type { Run } from './measure.ts';
import { failoverPage } from './page.ts';
import { pool } from './pool.ts';
import { chooseRows } from './run.ts';
import { renderRows, summarizeRow, summarizeVariant, type VariantResult } from './summary.ts';
import { groupIn, memberOf, missing, mostSwitches, switchesIn } from './switches.ts';
import { verdictsIn } from './verdicts.ts';

const GROUP = 'id 7401002 group 7400000/7400001/7400008 type resilient buckets 127 idle_timer 60 proto 73 ';

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

test('switchesIn() says who left and who came, and nothing of what was there from the begin', (t) => {
  const less = GROUP.replace('/7400008', '');
  t.deepEqual(switchesIn('east/gw-0', [GROUP, GROUP]), []);
  t.deepEqual(
    switchesIn('east/gw-0', ['id 7400000 dev ist00', GROUP, less, GROUP]).map(({ member, change }) => [
      member,
      change,
    ]),
    [
      [{ tunnel: '10', ordinal: 1 }, 'left'],
      [{ tunnel: '10', ordinal: 1 }, 'came'],
    ],
  );
  t.is(switchesIn('east/gw-0', [GROUP, `Deleted ${GROUP}`]).length, 3);
});

test('mostSwitches() counts the changes of one member in one group', (t) => {
  const less = GROUP.replace('/7400008', '');
  t.is(mostSwitches([]), 0);
  t.is(mostSwitches(switchesIn('a', [GROUP, less, GROUP, less])), 3);
  t.is(mostSwitches([...switchesIn('a', [GROUP, less]), ...switchesIn('b', [GROUP, less])]), 1);
  t.is(missing(switchesIn('a', [GROUP, less])), 1, 'missing() counts those that did not come back');
  t.is(missing(switchesIn('a', [GROUP, less, GROUP])), 0);
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
const limits = { silenceMs: 500, tcpLost: 0 };
const variant = { id: 'gateway-dead/local', what: 'east/gw-0', limits };

test('summarizeVariant() meets a target only if every run does', (t) => {
  const of = (...runs: readonly Run[]) => summarizeVariant({ ...variant, measured: { control, runs } });
  t.true(of(good, good).met);
  t.false(of(good, { ...good, silenceMs: 501 }).met);
  t.false(of(good, { ...good, tcpLost: 1 }).met);
  t.false(of().met, 'nothing was measured');
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
    { ...variant, measured: { error: 'this version has no such command' } },
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
      { ...variant, id: 'path-dead/both', measured: { error: 'Cannot go on\nat all' } },
    ]),
  ]);
  t.deepEqual(table.split('\n'), [
    'fault           runs  silence ms       TCP ms           lost  dup  reord  TCP lost  also                       target',
    'path-dead/loss  1     300 / 300 / 300  600 / 600 / 600  40    0    2      0         lossMs 1901 / 1901 / 1901  lossMs ≤ 2000                 met',
    'path-dead/both  0     –                –                –     –    –      –         –                          silenceMs ≤ 500, tcpLost ≤ 0  not measured: Cannot go on',
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
  const { rows } = pool([
    document({ control, runs: [good] }, { error: 'no' }),
    document({ control, runs: [good, never] }, { control, runs: [good] }),
  ]);
  t.deepEqual(rows, [
    summarizeRow(row, [
      { ...variant, measured: { control, runs: [good, good, never] } },
      { ...variant, id: 'gateway-dead/remote', measured: { control, runs: [good] } },
    ]),
  ]);
  t.throws(() => pool([]), { message: /there are no figures/ });
  const elsewhere = { machine: { ...machine, cpus: 64 }, rows: [], references: [] };
  t.throws(() => pool([document(), elsewhere]), { message: /different machines/ });
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
        { ...variant, id: 'gateway-dead/remote', measured: { error: 'no' } },
      ]),
    ],
    references: [summarizeRow({ id: 'static', what: 'by hand' }, [still])],
  };
  const page = failoverPage(pool([JSON.parse(JSON.stringify(result))]));
  t.regex(page, /\| `gateway-dead\/local` .* 300 \/ 300 \/ 300 .* newMs never \/ never \/ never .* met \|/);
  t.regex(page, /\| `gateway-dead\/remote` .* not measured \|/);
  t.regex(page, /\| `gateway-dead\/local` \| 300 \| more than 27: it never recovers \| 57 to 66 \|/);
});
