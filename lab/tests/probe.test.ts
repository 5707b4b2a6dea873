import { join } from 'node:path';
import process from 'node:process';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as v from 'valibot';
import { Lab } from '#lab';
import type { Run } from '#lib/linux';
import type { Question } from '#lib/probe';
import { ByHand } from './by-hand.ts';
import type { End } from './probe-end.ts';
import { Machine, eventually } from './machine.ts';

const PROGRAM = join(import.meta.dirname, 'probe-end.ts');

/** Which of its questions were answered. */
async function run({ run }: { readonly run: Run }, end: End): Promise<readonly Question[]> {
  const text = await run({ argv: [process.execPath, PROGRAM, JSON.stringify(end)], timeoutMs: 30_000 });
  return v.parse(Answered, JSON.parse(text));
}

/** Answers until the test is over. */
function stay(t: ExecutionContext, { run }: { readonly run: Run }, end: End): void {
  const ended = new AbortController();
  t.teardown(() => ended.abort());
  const { signal } = ended;
  const argv = [process.execPath, PROGRAM, JSON.stringify(end)] as const;
  run({ argv, timeoutMs: 60_000, signal }).catch(() => {});
}

const Answered = v.array(
  v.variant('kind', [
    v.object({ sequence: v.number(), kind: v.literal('small') }),
    v.object({ sequence: v.number(), kind: v.literal('full'), size: v.number() }),
    v.object({ sequence: v.number(), kind: v.literal('transit'), to: v.string() }),
  ]),
);

/** What comes in by the wire, before anybody puts cut datagrams together again; `guard` refuses the cut ones. */
function watch(guard: '' | 'drop'): string {
  return `nft -f - <<N
table inet watch {
  counter whole { }
  counter cut { }
  chain early { type filter hook prerouting priority -450;
    ip frag-off & 0x3fff != 0 counter name cut ${guard}
    exthdr frag exists counter name cut ${guard}
    ip frag-off & 0x4000 != 0 ip length > 1400 counter name whole
    ip6 length > 1360 exthdr frag missing counter name whole
  }
}
N`;
}

async function counted(machine: Machine, name: string): Promise<number> {
  const text = await machine.sh(`nft list counter inet watch ${name}`);
  return Number(/packets (\d+)/.exec(text)?.[1]);
}

async function wired(): Promise<{ near: Machine; far: Machine }> {
  const [near, far] = [await Machine.start(), await Machine.start()];
  await near.wire(far, 'w0');
  for (const [machine, host] of [
    [near, 1],
    [far, 2],
  ] as const) {
    await machine.sh(`ip link set w0 mtu 1440 up; ip addr add 192.0.2.${host}/24 dev w0
ip -6 addr add 2001:db8::${host}/64 dev w0 nodad`);
  }
  return { near, far };
}

for (const [family, local, remote, narrow] of [
  [4, '192.0.2.1', '192.0.2.2', 'ip route add 192.0.2.2/32 dev w0 mtu 1300'],
  [6, '2001:db8::1', '2001:db8::2', 'ip -6 route add 2001:db8::2/128 dev w0 mtu 1300'],
] as const) {
  test(`Probes of full size go whole, with DF, and a cut one is told by its receiver: IPv${family}`, async (t) => {
    const { near, far } = await wired();
    await using one = near;
    await using other = far;
    const ask = async (...sizes: readonly number[]): Promise<unknown> => {
      const questions = sizes.map((size) => ({ sequence: size, kind: 'full', size }) as const);
      const answered = await run(one, { ends: { local, remote }, questions });
      return answered.map((question) => (question.kind === 'full' ? question.size : undefined));
    };
    stay(t, other, { ends: { local: remote, remote: local } });
    await other.sh(watch(''));
    t.true(await eventually(async () => String(await ask(1440)) === '1440', 20_000));
    t.true((await counted(other, 'whole')) > 0);
    t.is(await counted(other, 'cut'), 0);
    // Node cannot forbid it: the kernel cuts a datagram that is larger than what it knows of the way.
    await one.sh(narrow);
    t.deepEqual(await ask(1440), [1440]);
    t.true((await counted(other, 'cut')) > 0);
    await other.sh(`nft delete table inet watch; ${watch('drop')}`);
    t.deepEqual(await ask(1296, 1440), [1296]);
  });
}

test('Probes go through a far gateway to the workers behind it, and come back by it', async (t) => {
  const site = { gateways: 1, workers: 1, podsPerWorker: 1 } as const;
  const sites = { east: site, west: { ...site, link: 'vxlan' } } as const;
  await using lab = await Lab.up({ sites }, { name: `q${process.pid % 100_000}` });
  const hand = await ByHand.join(lab);
  await hand.warm();
  const worker = lab.place('west/worker-1');
  for (const [local, remote, to] of [
    ['fdfa:bfab:1:1::', 'fdfa:bfab:1:2::', 'fdfa:bfab:1:2::1'],
    ['100.64.1.0', '100.64.2.0', '100.64.2.1'],
  ] as const) {
    const question = { sequence: 1, kind: 'transit', to } as const;
    stay(t, worker, { echoes: [to] });
    const answered = await run(lab.place('east/gw-0'), {
      ends: { local, remote },
      keyed: true,
      questions: [question],
    });
    t.deepEqual(answered, [question]);
  }
});
