// Site directories: what is read, what is refused and where, what is written.

import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import * as v from 'valibot';
import { parseCidr, isCidr4, isCidr6 } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import { changeDrains } from './drain.ts';
import { SiteError } from './error.ts';
import { fleetFromSite } from './fleet.ts';
import { NO_DRAINS, parseCluster, parseClusterset, parseDrains, parseSite } from './parse.ts';
import { SiteReader, readSite } from './read.ts';
import { isSameCluster, renderCluster, renderClusterset, renderDrains } from './render.ts';
import { clusterSchema, clustersetSchema, drainsSchema, siteSchema } from './schema.ts';
import { watchSite } from './watch.ts';
import { removeCluster, writeCluster, writeClusterset, writeDrains } from './write.ts';

const SITE = `cluster: east
podCIDRs: [10.1.0.0/16, "fd10:1::/32"]
serviceCIDRs: [10.101.0.0/16]
lanes: 2
nodes:
  - name: gw-0
    role: gateway
    ordinal: 0
    addresses: [192.168.1.10]
    podCIDRs: [10.1.10.0/24]
    endpoint:
      addresses: [203.0.113.10]
      port: 40000
  - name: gw-1
    role: gateway
    ordinal: 1
    addresses: [192.168.1.12]
  - name: worker-1
    role: worker
    addresses: [192.168.1.11, "fd00:1::11"]
    podCIDRs: ["fd10:1:1::/48", 10.1.1.0/24]
`;
const KEY = Buffer.alloc(32, 7).toString('base64');
const WEST = `cluster: west
index: 2
podCIDRs: [10.2.0.0/16]
serviceCIDRs: []
gateways:
  - ordinal: 0
    keys: [${KEY}]
    endpoint: { addresses: [203.0.113.20], port: 51820 }
`;
const CLUSTERSET = `clusterset: demo
cluster: east
index: 1
fabric: { v4: 100.64.0.0/10, v6: "fdfa:bfab:1::/48" }
clusters: [west]
`;

const DRAINS = 'gateways: [gw-0]\nclusters: [west]\n';

test('parseSite() fills in defaults and sorts', (t) => {
  const site = parseSite(SITE, 'site.yaml');
  t.is(site.listenPort, 51820);
  t.is(site.link, 'vxlan');
  t.deepEqual(
    site.nodes.map(({ name, podCidrs, endpoint }) => ({ name, podCidrs: [...podCidrs], endpoint })),
    [
      { name: 'gw-0', podCidrs: [parseCidr('10.1.10.0/24')], endpoint: site.nodes[0]?.endpoint },
      { name: 'gw-1', podCidrs: [], endpoint: undefined },
      {
        name: 'worker-1',
        podCidrs: [parseCidr('10.1.1.0/24'), parseCidr('fd10:1:1::/48')],
        endpoint: undefined,
      },
    ],
  );
  t.is(site.nodes[0]?.endpoint?.port, 40_000);
});

/** [what is wrong, text to replace, replacement, wanted error] */
const REFUSALS: readonly (readonly [string, string, string, string])[] = [
  [
    'a port out of range',
    'port: 40000',
    'port: 70000',
    's.yaml:13 nodes[0].endpoint.port: it is 70000; wanted a whole number from 1 to 65535',
  ],
  [
    'a port without room',
    'port: 40000',
    'port: 65500',
    's.yaml:13 nodes[0].endpoint.port: 65500 leaves no room for 64 ports; wanted at most 65472',
  ],
  ['an unknown field', 'lanes: 2', 'lane: 2', 's.yaml:4 lane: it is not a field that is known here'],
  ['a missing field', 'cluster: east\n', '', 's.yaml:1 cluster: it is missing'],
  ['an empty field', 'lanes: 2', 'lanes:', 's.yaml:4 lanes: it is empty; wanted a whole number from 1 to 8'],
  ['too many lanes', 'lanes: 2', 'lanes: 9', 's.yaml:4 lanes: it is 9; wanted a whole number from 1 to 8'],
  [
    'a bad role',
    'role: worker',
    'role: workers',
    's.yaml:19 nodes[2].role: it is "workers"; wanted "gateway" or "worker"',
  ],
  [
    'an ordinal used twice',
    'ordinal: 1',
    'ordinal: 0',
    's.yaml:16 nodes[1].ordinal: ordinal 0 is "gw-0"\'s already',
  ],
  [
    'a gateway without ordinal',
    '    ordinal: 1\n',
    '',
    's.yaml:14 nodes[1].ordinal: it is missing; wanted a number from 0 to 7',
  ],
  [
    'a worker with ordinal',
    'role: worker',
    'role: worker\n    ordinal: 3',
    's.yaml:20 nodes[2].ordinal: a worker has none; only gateways are numbered',
  ],
  [
    'a name used twice',
    'name: gw-1',
    'name: gw-0',
    's.yaml:14 nodes[1].name: the name "gw-0" is "gw-0"\'s already',
  ],
  [
    'an address used twice',
    '192.168.1.12',
    '192.168.1.10',
    's.yaml:17 nodes[1].addresses[0]: 192.168.1.10 is "gw-0"\'s already',
  ],
  [
    'two addresses of a family',
    '"fd00:1::11"',
    '192.168.1.99',
    's.yaml:20 nodes[2].addresses[1]: 192.168.1.99 is the second IPv4 address; wanted one of each family',
  ],
  [
    'a node CIDR outside',
    '10.1.10.0/24',
    '10.2.10.0/24',
    "s.yaml:10 nodes[0].podCIDRs[0]: 10.2.10.0/24 is outside the site's pod CIDRs 10.1.0.0/16, fd10:1::/32",
  ],
  [
    'node CIDRs that overlap',
    '10.1.10.0/24',
    '10.1.0.0/20',
    's.yaml:21 nodes[2].podCIDRs[1]: 10.1.1.0/24 overlaps 10.1.0.0/20 of "gw-0"',
  ],
  [
    'services inside pods',
    '10.101.0.0/16',
    '10.1.128.0/17',
    's.yaml:3 serviceCIDRs[0]: 10.1.128.0/17 overlaps the pod CIDR 10.1.0.0/16',
  ],
  [
    'pod CIDRs that overlap',
    '"fd10:1::/32"]',
    '10.1.3.0/24, "fd10:1::/32"]',
    's.yaml:2 podCIDRs[1]: 10.1.3.0/24 overlaps 10.1.0.0/16',
  ],
  [
    'no gateway',
    'role: gateway\n    ordinal: 0',
    'role: worker',
    's.yaml:10 nodes[0].endpoint: a worker has none; only gateways are reached from outside',
  ],
  [
    'ports of the probes',
    'lanes: 2',
    'listenPort: 51790',
    's.yaml:4 listenPort: ports 51790–51853 contain 51800, which is for path probes',
  ],
  ['text that is not YAML', 'lanes: 2', 'lanes: [2', 's.yaml:5: '],
];

for (const [what, from, to, wanted] of REFUSALS) {
  test(`parseSite() refuses ${what}, with its line`, (t) => {
    t.true(SITE.includes(from));
    const error = t.throws(() => parseSite(SITE.replace(from, to), 's.yaml'), { instanceOf: SiteError });
    t.true(error.message.startsWith(`Cannot read ${wanted}`), error.message);
  });
}

test('parseSite() gives the reason of an address that is none', (t) => {
  const error = t.throws(() => parseSite(SITE.replace('192.168.1.12', '192.168.1.012'), 's.yaml'));
  t.regex(
    error.message,
    /^Cannot read s\.yaml:17 nodes\[1\]\.addresses\[0\]: .*wanted an address such as 192\.0\.2\.10$/,
  );
});

test('parseSite() refuses gateways whose outside ports cross', (t) => {
  const text = SITE.replace(
    '[192.168.1.12]\n',
    '[192.168.1.12]\n    endpoint: { addresses: [203.0.113.10], port: 40063 }\n',
  );
  const error = t.throws(() => parseSite(text, 's.yaml'));
  t.is(
    error.message,
    'Cannot read s.yaml:18 nodes[1].endpoint: ports from 40063 on 203.0.113.10 are "gw-0"\'s already; wanted bases 64 apart',
  );
});

test('renderCluster() and renderClusterset() say what was read', (t) => {
  const west = parseCluster(WEST, 'west.yaml');
  t.deepEqual(parseCluster(renderCluster(west), 'west.yaml'), west);
  const clusterset = parseClusterset(CLUSTERSET, 'c.yaml');
  t.deepEqual(parseClusterset(renderClusterset(clusterset), 'c.yaml'), clusterset);
});

test('isSameCluster() sees every difference but the order of CIDRs', (t) => {
  const west = parseCluster(WEST.replace('[10.2.0.0/16]', '[10.2.0.0/16, 10.3.0.0/16]'), 'w');
  t.true(isSameCluster(west, { ...west, podCidrs: west.podCidrs.toReversed() }));
  t.is(renderCluster(west), renderCluster({ ...west, podCidrs: west.podCidrs.toReversed() }));
  const [gateway] = west.gateways;
  if (gateway?.endpoint === undefined) throw new Error('it has an endpoint');
  const moved = { ...gateway, endpoint: { ...gateway.endpoint, port: 1 } };
  for (const other of [
    { ...west, index: 3 },
    { ...west, podCidrs: [] },
    { ...west, serviceCidrs: west.podCidrs },
    { ...west, gateways: [] },
    { ...west, gateways: [moved] },
    { ...west, gateways: [{ ordinal: 0, keys: gateway.keys }] },
    { ...west, gateways: [{ ...gateway, keys: [...gateway.keys, ...gateway.keys] }] },
  ]) {
    t.false(isSameCluster(west, other));
    t.not(renderCluster(west), renderCluster(other));
  }
});

test('parseCluster() refuses an ordinal that stands twice', (t) => {
  const text = `${WEST}  - ordinal: 0\n    keys: [${KEY}]\n`;
  t.throws(() => parseCluster(text, 'w.yaml'), {
    message: /w\.yaml:9 gateways\[1\]\.ordinal: another gateway/,
  });
});

test('parseSite(), parseCluster(), parseClusterset() and parseDrains() refuse whatever text they are given, or read it', (t) => {
  const parsers = [parseSite, parseCluster, parseClusterset, parseDrains] as const;
  const mutated = fc
    .tuple(
      fc.constantFrom(SITE, WEST, CLUSTERSET, DRAINS),
      fc.nat(),
      fc.nat(40),
      fc.string({ unit: 'binary', maxLength: 12 }),
    )
    .map(([text, at, length, put]) => {
      const from = at % text.length;
      return text.slice(0, from) + put + text.slice(from + length);
    });
  const texts = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), mutated, fc.json(), yamlish());
  fc.assert(
    fc.property(texts, (text) => {
      for (const parse of parsers) {
        try {
          parse(text, 'f.yaml');
        } catch (error) {
          if (!(error instanceof SiteError) || !/^Cannot read f\.yaml:\d+/.test(error.message)) throw error;
        }
      }
    }),
    { seed: 42, numRuns: 1500 },
  );
  t.pass();
});

/** Text that uses YAML's stranger corners. */
function yamlish(): fc.Arbitrary<string> {
  const token = fc.constantFrom(
    'a',
    ': ',
    '- ',
    '\n',
    '  ',
    '[',
    ']',
    '{',
    '}',
    ',',
    '&x ',
    '*x',
    '!!set ',
    '!!binary ',
    '<<: ',
    '? ',
    '|',
    '>',
    '"',
    "'",
    '#',
    '---\n',
    '...\n',
    '%YAML 1.1\n',
    '__proto__',
    'nodes',
    'cluster',
    '0x1',
    '~',
  );
  return fc.array(token, { maxLength: 30 }).map((tokens) => tokens.join(''));
}

test('parseSite() refuses aliases that multiply', (t) => {
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n`;
  t.throws(() => parseSite(bomb, 's.yaml'), { instanceOf: SiteError });
});

async function directory(t: { teardown: (f: () => Promise<void>) => void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'isthmus-site-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  await writeFile(join(path, 'site.yaml'), SITE);
  return path;
}

test('readSite() reads what gateways wrote, and fleetFromSite() makes a fleet of it', async (t) => {
  const dir = await directory(t);
  t.is(fleetFromSite(await readSite(dir)), undefined);
  await writeClusterset(dir, parseClusterset(CLUSTERSET, 'c'));
  await writeCluster(dir, parseCluster(WEST, 'w'));
  const fleet = fleetFromSite(await readSite(dir));
  t.is(fleet?.own.index, 1);
  t.deepEqual(
    fleet?.remotes.map(({ id, index }) => [id, index]),
    [[parseClusterId('west'), 2]],
  );
  t.true(
    isCidr4(fleet?.fabric.v4 ?? parseCidr('::/0')) && isCidr6(fleet?.fabric.v6 ?? parseCidr('0.0.0.0/0')),
  );
  t.deepEqual(await readdir(join(dir, 'clusters')), ['west.yaml']);
  await removeCluster(dir, parseClusterId('west'));
  t.deepEqual((await readSite(dir)).clusters, []);
});

test('writeCluster() says which file it could not write', async (t) => {
  const dir = await directory(t);
  await writeFile(join(dir, 'clusters'), 'a file in the way');
  await t.throwsAsync(writeCluster(dir, parseCluster(WEST, 'w')), {
    message: /Cannot (write|create|make)? ?.*clusters|EEXIST|ENOTDIR/,
  });
});

test('SiteReader keeps unchanged clusters as the same objects, and the last good content of a broken file', async (t) => {
  const dir = await directory(t);
  await writeCluster(dir, parseCluster(WEST, 'w'));
  await writeCluster(dir, { ...parseCluster(WEST, 'w'), id: parseClusterId('edge'), index: 3 });
  const reader = new SiteReader(dir);
  const [edge, west] = (await reader.read()).clusters;
  await writeFile(join(dir, 'clusters/edge.yaml'), 'cluster: [');
  const after = await reader.read();
  t.is(after.clusters[1], west);
  t.is(after.clusters[0], edge);
  t.is(after.faults.length, 1);
  t.regex(after.faults[0]?.message ?? '', /clusters\/edge\.yaml:1: /);
});

test('SiteReader tells a lost file from one that was removed', async (t) => {
  const dir = await directory(t);
  const clusterset = parseClusterset(CLUSTERSET, 'c');
  await writeClusterset(dir, clusterset);
  await writeCluster(dir, parseCluster(WEST, 'w'));
  const reader = new SiteReader(dir);
  const [west] = (await reader.read()).clusters;
  await rm(join(dir, 'clusters'), { recursive: true });
  const lost = await reader.read();
  t.is(lost.clusters[0], west);
  t.deepEqual(lost.missing, []);
  t.regex(lost.faults[0]?.message ?? '', /clusters\/west\.yaml: clusterset\.yaml lists "west"/);
  t.deepEqual((await readSite(dir)).missing, [west?.id]);
  await writeClusterset(dir, { ...clusterset, clusters: [] });
  const removed = await reader.read();
  t.deepEqual([removed.clusters, removed.missing, removed.faults], [[], [], []]);
});

test('SiteReader reports a file that is named after another cluster', async (t) => {
  const dir = await directory(t);
  await mkdir(join(dir, 'clusters'));
  await writeFile(join(dir, 'clusters/edge.yaml'), WEST);
  const { clusters, faults } = await readSite(dir);
  t.deepEqual(clusters, []);
  t.regex(faults[0]?.message ?? '', /edge\.yaml:1 cluster: it is "west"/);
});

test('SiteReader does not take index or departure from another cluster’s clusterset.yaml', async (t) => {
  const dir = await directory(t);
  await writeFile(join(dir, 'clusterset.yaml'), `${CLUSTERSET.replace('east', 'west')}left: true\n`);
  const { clusterset, faults } = await readSite(dir);
  t.is(clusterset, undefined);
  t.regex(
    faults[0]?.message ?? '',
    /clusterset\.yaml: it is of cluster "west", and site\.yaml describes "east"$/,
  );
});

test('readSite() says what to do where there is no site.yaml', async (t) => {
  await t.throwsAsync(readSite('/nonexistent'), {
    message: /Cannot read \/nonexistent\/site\.yaml: there is no such file/,
  });
});

test('SiteReader reads what is drained, and keeps it while the file cannot be used', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'isthmus-drains-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const reader = new SiteReader(directory);
  t.deepEqual(await reader.drains(), { drains: NO_DRAINS, faults: [] });
  const drains = parseDrains('gateways: [gw-1, gw-0, gw-1]\nclusters: [west]', 'drains.yaml');
  t.deepEqual(drains, { gateways: ['gw-0', 'gw-1'], clusters: [parseClusterId('west')] });
  await writeDrains(directory, drains);
  t.deepEqual(await reader.drains(), { drains, faults: [] });
  t.deepEqual(parseDrains(renderDrains(drains), 'drains.yaml'), drains);
  await writeFile(join(directory, 'drains.yaml'), 'gateway: gw-0\n');
  const { drains: kept, faults } = await reader.drains();
  t.deepEqual(kept, drains);
  t.regex(faults[0]?.message ?? '', /drains\.yaml:1/);
  await t.throwsAsync(new SiteReader(directory).drains(), { instanceOf: SiteError });
});

test('changeDrains() loses none of many changes at once, and makes no directory', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'isthmus-drains-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const names = Array.from({ length: 8 }, (_, at) => `gw-${at}`);
  const added = names.map((name) =>
    changeDrains(directory, (drains) => ({ ...drains, gateways: [...drains.gateways, name].toSorted() })),
  );
  t.deepEqual(
    await Promise.all(added),
    names.map(() => true),
  );
  const { drains } = await new SiteReader(directory).drains();
  t.deepEqual(drains.gateways, names);
  t.false(await changeDrains(directory, (same) => same));
  await t.throwsAsync(
    changeDrains(directory, () => {
      throw new RangeError('refused');
    }),
    { instanceOf: RangeError },
  );
  t.deepEqual((await new SiteReader(directory).drains()).drains, drains);
  await t.throwsAsync(
    changeDrains(join(directory, 'none'), () => drains),
    { code: 'ENOENT' },
  );
  await t.throwsAsync(readdir(join(directory, 'none')), { code: 'ENOENT' });
});

test('watchSite() yields at once, then for each change, also in a directory that was replaced', async (t) => {
  const dir = await directory(t);
  const stop = new AbortController();
  t.teardown(async () => stop.abort());
  const changes = watchSite(dir, { signal: stop.signal, pollMs: 200 })[Symbol.asyncIterator]();
  t.false((await changes.next()).done);
  const started = performance.now();
  const waiting = changes.next();
  await writeCluster(dir, parseCluster(WEST, 'w'));
  t.false((await waiting).done);
  t.true(performance.now() - started < 150, 'inotify told, not the poll');
  const next = changes.next();
  await rename(join(dir, 'clusters'), join(dir, 'old'));
  t.false((await next).done);
  const last = changes.next();
  stop.abort();
  t.true((await last).done);
});

/** What the walk needs of a valibot schema. */
const Shape = v.object({
  entries: v.optional(v.record(v.string(), v.unknown())),
  item: v.optional(v.unknown()),
  wrapped: v.optional(v.unknown()),
});

/** Every leaf field of a schema, as the reference names it. */
function fieldsOf(schema: unknown, prefix: string): string[] {
  const { entries, item, wrapped } = v.parse(Shape, schema);
  if (wrapped !== undefined) return fieldsOf(wrapped, prefix);
  if (item !== undefined) return fieldsOf(item, `${prefix}[]`);
  if (entries === undefined) return [prefix];
  return Object.entries(entries).flatMap(([key, value]) =>
    fieldsOf(value, prefix === '' ? key : `${prefix}.${key}`),
  );
}

test('docs/reference/site.md lists exactly the fields that are read', async (t) => {
  const page = await readFile(new URL('../docs/reference/site.md', import.meta.url), 'utf8');
  const listed = (from: string, to: string): string[] => {
    const section = page.slice(page.indexOf(from), to === '' ? undefined : page.indexOf(to));
    return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '');
  };
  t.deepEqual(listed('## `site.yaml`', '## `clusterset.yaml`'), fieldsOf(siteSchema, ''));
  t.deepEqual(listed('## `clusterset.yaml`', '## `clusters/'), fieldsOf(clustersetSchema, ''));
  t.deepEqual(listed('## `clusters/', '## `drains'), fieldsOf(clusterSchema, ''));
  t.deepEqual(listed('## `drains', ''), fieldsOf(drainsSchema, ''));
  const example = /```yaml\n([^]*?)```/.exec(page)?.[1] ?? '';
  t.is(parseSite(example, 'docs').nodes.length, 2);
});
