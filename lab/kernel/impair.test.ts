import process from 'node:process';
import { impair, Lab, mend } from '#lab';
import test from 'ava';

// Two routers and the internet between them: nothing of the product.
const name = `i${process.pid % 100_000}`;
let lab: Lab;

const bare = { gateways: 1, workers: 0, hostProcesses: 0 } as const;
/** What the internet sends to west. */
const LINE = { place: 'internet', device: 'west' } as const;
const ASKED = 300;

test.before(async () => {
  lab = await Lab.up({ sites: { east: bare, west: bare } }, { name });
});

test.after.always(async () => {
  await Lab.down(name);
});

interface Answers {
  /** Sequence numbers, in the order in which answers came. */
  readonly sequence: readonly number[];
  readonly duplicates: number;
  readonly leastMs: number;
}

/** Asks west's router from east's, quickly one after the other. */
async function ping(count = ASKED): Promise<Answers> {
  const to = /inet ([\d.]+)/.exec(
    await lab.place('west/router').exec(['ip', '-4', 'addr', 'show', 'dev', 'wan']),
  );
  const argv = ['ping', '-n', '-c', String(count), '-i', '0.01', '-W', '3', to?.[1] ?? ''];
  const said = await lab
    .place('east/router')
    .exec(['sh', '-c', '"$@" || :', 'sh', ...argv], { timeoutMs: 60_000 });
  const lines = said.split('\n').filter((line) => line.includes('icmp_seq='));
  const first = lines.filter((line) => !line.includes('(DUP!)'));
  const numbers = (pattern: RegExp): number[] => first.map((line) => Number(pattern.exec(line)?.[1]));
  return {
    sequence: numbers(/icmp_seq=(\d+)/),
    duplicates: lines.length - first.length,
    leastMs: Math.min(...numbers(/time=([\d.]+)/)),
  };
}

/** How many came after one that was asked later. */
function overtaken(sequence: readonly number[]): number {
  return sequence.filter((each, at) => each < Math.max(0, ...sequence.slice(0, at))).length;
}

test('a good line loses, doubles and reorders nothing', async (t) => {
  const { sequence, duplicates } = await ping();
  t.deepEqual([sequence.length, duplicates, overtaken(sequence)], [ASKED, 0, 0]);
});

test('impair() delays every packet, and mend() none', async (t) => {
  await impair(lab, LINE, { delayMs: 80 });
  const bad = await ping(10);
  t.is(bad.sequence.length, 10);
  t.true(bad.leastMs >= 80, `${bad.leastMs} ms`);
  await mend(lab, LINE);
  t.true((await ping(10)).leastMs < 80);
});

test('impair() loses about as many packets as it is told', async (t) => {
  await impair(lab, LINE, { lossPercent: 30 });
  const { sequence, duplicates } = await ping();
  // 90 of 300, with a standard deviation of 8.
  const lost = ASKED - sequence.length;
  t.true(lost > 50 && lost < 130, `${lost} lost`);
  t.is(duplicates, 0);
  await impair(lab, LINE, { lossPercent: 100 });
  t.is((await ping(5)).sequence.length, 0);
});

test('impair() doubles about as many packets as it is told, and takes back what it was told before', async (t) => {
  await impair(lab, LINE, { duplicatePercent: 30 });
  const { sequence, duplicates } = await ping();
  t.is(sequence.length, ASKED);
  t.true(duplicates > 50 && duplicates < 130, `${duplicates} doubled`);
});

test('impair() lets packets overtake others, and loses none', async (t) => {
  await impair(lab, LINE, { delayMs: 60, reorderPercent: 20 });
  const { sequence, duplicates } = await ping();
  t.deepEqual([sequence.length, duplicates], [ASKED, 0]);
  t.true(overtaken(sequence) > ASKED / 3, `${overtaken(sequence)} overtaken`);
});
