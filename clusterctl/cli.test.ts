import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import { runCommand } from '#lib/linux';
import { gatewayState, hear, serveState } from './bed.ts';
import { changeLines, describe } from './changes.ts';
import { EXIT } from './exit.ts';
import { buildProgram } from './program.ts';
import { referenceOf } from './reference.ts';
import { ageText, columnsOf } from './rows.ts';
import { runCli } from './run.ts';
import { renderTable } from './table.ts';
import { renderTree } from './tree.ts';
import { VIEWS } from './views.ts';

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly said: string;
}

/** Runs the real command as a process, without a terminal. */
function spawned(...args: readonly string[]): Promise<Ended> {
  const main = path.join(import.meta.dirname, 'main.ts');
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], (error, out, said) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, said });
    });
    child.stdin?.end();
  });
}

/** Runs a command within this process: the same but for the process' own streams. */
async function clusterctl(...words: readonly string[]): Promise<Ended> {
  const { context, out, said } = hear({ run: runCommand });
  const code = await runCli(context, words);
  return { code, out: out.join(''), said: said.map((line) => `${line}\n`).join('') };
}

async function directory(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { path: string }> {
  const made = await mkdtemp(path.join(tmpdir(), 'clusterctl-'));
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(made, name), text);
  return { path: made, [Symbol.asyncDispose]: () => rm(made, { recursive: true }) };
}

const SITE = `cluster: east
podCIDRs: [10.1.0.0/16]
nodes:
  - { name: gw-0, role: gateway, ordinal: 0, addresses: [192.0.2.10], endpoint: { addresses: [203.0.113.10] } }
  - { name: worker-1, role: worker, addresses: [192.0.2.11], podCIDRs: [10.1.1.0/24] }
`;
const CLUSTERSET = `clusterset: f77ae25509a4624a
cluster: east
index: 1
fabric: { v4: 100.64.0.0/10, v6: "fd12:3456:789a::/48" }
clusters: []
`;

test('clusterctl refuses a wrong command line with one line, and the command that explains it', async (t) => {
  const cases = [
    [
      'broker token --cluster East --pod-cidr 10.1.0.0/16',
      'Cannot run "clusterctl broker token": --cluster "East": it is not a label of lower case letters, digits and inner hyphens, at most 63 long. See: clusterctl broker token --help\n',
    ],
    [
      'broker token --cluster east --pod-cidr 10.0.0.0/08',
      'Cannot run "clusterctl broker token": --pod-cidr "10.0.0.0/08": its prefix length is not a plain decimal number. See: clusterctl broker token --help\n',
    ],
    [
      'broker token --cluster east --pod-cidr 10.1.0.0/16 --ttl 24',
      'Cannot run "clusterctl broker token": --ttl "24": it is not a number with a unit, write 90s, 15m, 24h or 7d. See: clusterctl broker token --help\n',
    ],
    [
      'broker create --advertise a --fabric-v4 100.0.0.0/8',
      'Cannot run "clusterctl broker create": --fabric-v4 "100.0.0.0/8": it is not an IPv4 /10. See: clusterctl broker create --help\n',
    ],
    [
      'broker token --cluster east --pod-cidr 10.1.0.0/16 --ttl 400d',
      'Cannot run "clusterctl broker token": --ttl "400d": it is longer than 365d. See: clusterctl broker token --help\n',
    ],
    [
      'broker token --cluster east --pod-cidr 10.1.0.0/16,fe80::/64',
      'Cannot run "clusterctl broker token": --pod-cidr "10.1.0.0/16,fe80::/64": it overlaps fe80::/10, which means every host itself or its own link. See: clusterctl broker token --help\n',
    ],
    [
      'broker create --advertise a --listen 999.1.1.1',
      'Cannot run "clusterctl broker create": --listen "999.1.1.1": it is not an IP address. See: clusterctl broker create --help\n',
    ],
    [
      '--debug broker revoke east --root-key',
      'Cannot run "clusterctl broker revoke": option "--root-key <file>" argument missing. See: clusterctl broker revoke --help\n',
    ],
    [
      'leave --host-only --force',
      'Cannot run "clusterctl leave": option "--host-only" cannot be used with option "--force". See: clusterctl leave --help\n',
    ],
    [
      'show clusters -o xml',
      'Cannot run "clusterctl show": --output "xml": it is none of table, json, yaml. See: clusterctl show --help\n',
    ],
    [
      'jion',
      'Cannot run "clusterctl": unknown command "jion"; did you mean "join"? See: clusterctl --help\n',
    ],
  ] as const;
  const ended = await Promise.all(cases.map(([line]) => clusterctl(...line.split(' '))));
  t.deepEqual(
    ended,
    cases.map(([, said]) => ({ code: EXIT.usage, out: '', said })),
  );
});

test('clusterctl as a process writes results to stdout, the rest to stderr, and ends with its exit code', async (t) => {
  const [json, wrong] = await Promise.all([spawned('version', '-o', 'json'), spawned('show', 'what')]);
  const rows: unknown = JSON.parse(json.out);
  t.like(rows, [{ program: 'clusterctl' }, { program: 'node' }]);
  t.deepEqual([json.code, json.said], [EXIT.ok, '']);
  t.deepEqual([wrong.code, wrong.out], [EXIT.usage, '']);
  t.regex(wrong.said, /^Cannot run "clusterctl show": view "what": it is none of clusters, gateways, .*\n$/);
});

test('clusterctl version prints one value as a table', async (t) => {
  const { out } = await clusterctl('version');
  t.regex(out, /^PROGRAM {2,}VERSION\nclusterctl {2,}\d/);
});

test('clusterctl names file, line and field of a site.yaml that cannot be used', async (t) => {
  await using site = await directory({ 'site.yaml': SITE.replace('10.1.0.0/16', '10.1.0.0/8.') });
  const { code, out, said } = await clusterctl('join', '--site', site.path, '--token', 'x');
  t.deepEqual([code, out], [EXIT.usage, '']);
  t.true(said.startsWith(`Cannot read ${site.path}/site.yaml:2 podCIDRs[0]: `), said);
});

test('clusterctl says which file of its command line cannot be read', async (t) => {
  await using site = await directory({ 'site.yaml': SITE });
  const [token, missing, plan] = await Promise.all([
    clusterctl('join', '--site', site.path, '--token-file', '/nonexistent'),
    clusterctl('join', '--site', '/nonexistent', '--token', 'x'),
    clusterctl('plan', '--site', site.path, '--node', 'gw-0'),
  ]);
  t.deepEqual(token, {
    code: EXIT.usage,
    out: '',
    said: 'Cannot read the join token "/nonexistent": no such file or directory\n',
  });
  t.is(missing.code, EXIT.usage);
  t.regex(missing.said, /^Cannot read \/nonexistent\/site\.yaml: there is no such file\. /);
  t.is(plan.code, EXIT.failed);
  t.regex(
    plan.said,
    /: no gateway has written .*clusterset\.yaml yet\. Join \(clusterctl join\), then start/,
  );
});

test('clusterctl broker calls a directory without a broker, and CIDRs that overlap each other, a wrong command line', async (t) => {
  await using data = await directory({});
  const make = (...cidrs: string[]): Promise<Ended> => {
    const given = cidrs.flatMap((cidr) => ['--pod-cidr', cidr]);
    return clusterctl('broker', 'token', '--data', data.path, '--cluster', 'east', ...given);
  };
  const missing = await make('10.1.0.0/16');
  t.is(missing.code, EXIT.usage);
  t.regex(missing.said, /there is no broker in it\. Create it first: clusterctl broker create/);
  t.is((await clusterctl('broker', 'create', '--data', data.path, '--advertise', '127.0.0.1')).code, EXIT.ok);
  const overlapping = await make('10.1.0.0/16', '10.1.1.0/24');
  t.is(overlapping.code, EXIT.usage);
  t.regex(overlapping.said, /its CIDRs 10\.1\.0\.0\/16 and 10\.1\.1\.0\/24 overlap\. /);
  t.is((await make('100.64.0.0/16')).code, EXIT.refused);
});

test('clusterctl leave cleans no host without being told to, be it a member or not', async (t) => {
  await using secrets = await directory({});
  const { code, said } = await clusterctl('leave', '--secrets', secrets.path, '--state', secrets.path);
  t.is(code, EXIT.usage);
  t.regex(
    said,
    /^There is no membership in .*: only this host is cleaned\nCannot remove .* Add --yes to do it\n$/,
  );
});

test('clusterctl join waits for a token on standard input until it is interrupted', async (t) => {
  await using site = await directory({ 'site.yaml': SITE });
  const main = path.join(import.meta.dirname, 'main.ts');
  const ended = await new Promise<Ended>((resolve) => {
    const args = [main, 'join', '--site', site.path, '--token-file', '-'];
    const child = execFile(process.execPath, args, (error, out, said) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, said });
    });
    // More than a pipe holds: once it is written, somebody reads.
    child.stdin?.write(' '.repeat(1 << 20), () => child.kill('SIGINT'));
  });
  t.is(ended.code, EXIT.interrupted);
  t.regex(ended.said, /^Interrupted\./);
});

test('clusterctl join says what is wrong with a token, and never a stack trace', async (t) => {
  await using site = await directory({ 'site.yaml': SITE });
  const ended = await clusterctl('join', '--site', site.path, '--token', 'abc', '--node', 'gw-0');
  t.deepEqual(ended, {
    code: EXIT.usage,
    out: '',
    said: 'Cannot use the join token: it is not a join token of Isthmus. Make a new one: clusterctl broker token\n',
  });
});

test('clusterctl show reads the site directory that it is given, whatever a daemon knows', async (t) => {
  await using site = await directory({ 'site.yaml': SITE, 'clusterset.yaml': CLUSTERSET });
  const { code, out, said } = await clusterctl('show', 'clusters', '--site', site.path);
  t.is(code, EXIT.ok, said);
  t.regex(out, /^CLUSTER .*INDEX/);
  t.regex(out, /^east +1 +yes +10\.1\.0\.0\/16 /m);
  t.is(said, '');
});

test("clusterctl show reads the daemon's state, and prints it as data as well", async (t) => {
  const state = gatewayState({
    tunnels: [{ id: 'west/0#0', device: 'ist00', up: false, state: 'held', rttMs: 1.25, lost: 0 }],
    paths: [
      {
        id: 'west/0#0',
        state: 'up',
        since: '2026-01-01T00:00:00Z',
        loss: { lost: 1, of: 32 },
        used: true,
        changes: [
          { at: '2026-01-01T00:00:00Z', to: 'down', text: '4 of 4 probes unanswered' },
          { at: '2026-01-01T00:00:01Z', to: 'up', text: 'no loss for 600 ms' },
        ],
      },
      { id: 'west/1#0', state: 'up', used: false, draining: true, changes: [] },
      { id: 'node gw-1', state: 'up', changes: [] },
    ],
    conditions: [{ code: 'IST_NO_PATH', about: 'edge', text: 'No tunnel answers' }],
  });
  await using server = await serveState(() => state);
  const port = String(server.port);
  const [tunnels, paths, conditions, map] = await Promise.all([
    clusterctl('show', 'tunnels', '--status-port', port),
    clusterctl('show', 'paths', '--status-port', port),
    clusterctl('show', 'conditions', '--status-port', port, '-o', 'json'),
    clusterctl('show', 'map', '--status-port', port),
  ]);
  t.regex(tunnels.out, /^west\/0#0 +held +1\.25 +0 /m, tunnels.said);
  t.regex(paths.out, /^west\/0#0 +up +yes +1\/32 +\d+d +no loss for 600 ms$/m, paths.said);
  t.regex(paths.out, /^west\/1#0 +up +no .* not used: it drains$/m);
  t.regex(paths.out, /^\d+d +west\/0#0 +down +4 of 4 probes unanswered$/m);
  t.deepEqual(JSON.parse(conditions.out), [
    { code: 'IST_NO_PATH', severity: 'error', about: 'edge', text: 'No tunnel answers' },
  ]);
  t.regex(map.out, /└─ west /);
});

test('clusterctl show fails with its own code when the port that was asked for answers nothing', async (t) => {
  const server = await serveState(() => ({}));
  await server[Symbol.asyncDispose]();
  const ended = await clusterctl('show', 'map', '--status-port', String(server.port));
  t.is(ended.code, EXIT.unreachable);
  t.regex(ended.said, /^Cannot read state from "127\.0\.0\.1:\d+": nothing listens there\./);
});

test('docs/reference/cli.md lists every command, option, view and exit code, in the same words', async (t) => {
  const page = await readFile(new URL('../docs/reference/cli.md', import.meta.url), 'utf8');
  const commands = referenceOf(buildProgram(hear().context));
  const headings = Array.from(page.matchAll(/^## `(.+)`$/gm), ([, name]) => name);
  t.deepEqual(
    headings,
    commands.map(({ name }) => name),
  );
  for (const { name, description, options } of commands) {
    const text = `\n## \`${name}\`\n\n${description.charAt(0).toUpperCase()}${description.slice(1)}.\n\n${options}\n`;
    t.true(page.includes(text), `The page lacks this text:\n${text}`);
  }
  const views = Object.entries(VIEWS).map(([view, text]) => `| \`${view}\` | ${text} |\n`);
  t.true(page.includes(`| view | |\n| --- | --- |\n${views.join('')}`));
  const codes = Array.from(page.matchAll(/^\| (\d+) \| /gm), ([, code]) => Number(code));
  t.deepEqual(codes, Object.values(EXIT));
});

test('changeLines() shows what would be added, what stands otherwise, and what would go', (t) => {
  const none = { add: [], change: [], remove: [] };
  const link = { kind: 'wireguard', name: 'ist00', mtu: 1440, group: 73 } as const;
  const lines = changeLines({
    links: { ...none, change: [{ from: { ...link, mtu: 1300, up: false, userspace: true }, to: link }] },
    addresses: none,
    neighbours: none,
    forwarding: none,
    nexthops: none,
    groups: { ...none, add: [{ id: 7401002, members: [7400000, 7400001], buckets: 127 }] },
    routes: none,
    rules: none,
    sysctls: [{ key: 'net.ipv4.ip_forward', from: '0', to: '1', why: 'wanted' }],
    nftables: { kind: 'elements', name: 'isthmus', add: {}, remove: { peers: ['10.2.0.0/16'] } },
  });
  t.deepEqual(
    lines.map(({ sign, text }) => `${sign} ${text}`),
    [
      '~ sysctl net.ipv4.ip_forward 1 ← 0',
      '~ link wireguard ist00 mtu 1440 group 73 ← mtu 1300 up false',
      '+ group id 7401002 members 7400000,7400001 buckets 127',
      '- nftables table isthmus set peers element 10.2.0.0/16',
    ],
  );
});

test('describe() writes a thing as the programs that make it would, absent fields left out', (t) => {
  t.is(
    describe('route', {
      kind: 'unicast',
      destination: '10.2.0.0/16',
      table: 7301,
      metric: 100,
      nexthop: 7101002,
      onlink: false,
    }),
    'route unicast 10.2.0.0/16 table 7301 metric 100 nexthop 7101002',
  );
});

test('ageText() counts in the unit that tells most', (t) => {
  const ages = [0, 119, 120, 7199, 7200, 172_799, 172_800].map((seconds) =>
    ageText(new Date(0).toISOString(), new Date(seconds * 1000)),
  );
  t.deepEqual(ages, ['0s', '119s', '2m', '119m', '2h', '47h', '2d']);
});

test('renderTable() aligns columns, joins lists, marks what is absent, and leaves no blanks at line ends', (t) => {
  const rows = [
    { cluster: 'east', index: 1, podCidrs: ['10.1.0.0/16', 'fd10:1::/32'], reached: true },
    { cluster: 'edge-site', index: 12, podCidrs: [], reached: false, since: 'now' },
  ];
  t.is(
    renderTable(columnsOf(rows), rows),
    [
      'CLUSTER     INDEX   POD-CIDRS                 REACHED   SINCE',
      'east        1       10.1.0.0/16,fd10:1::/32   yes       -',
      'edge-site   12      -                         no        now',
      '',
    ].join('\n'),
  );
});

test('renderTable() paints after padding, so that colour does not move columns', (t) => {
  const rows = [
    { state: 'up', rtt: 1 },
    { state: 'down', rtt: 20 },
  ];
  const painted = renderTable(columnsOf(rows), rows, (style, text) => `<${style} ${text}>`);
  t.is(painted, '<head STATE>   <head RTT>\n<good up>      1\n<bad down>    20\n');
});

test('renderTree() draws as tree(1) does', (t) => {
  const leaf = (label: string) => ({ label, children: [] });
  const tree = {
    label: 'set',
    children: [{ label: 'east', children: [leaf('gw-0'), leaf('gw-1')] }, leaf('west')],
  };
  t.is(renderTree(tree), 'set\n├─ east\n│  ├─ gw-0\n│  └─ gw-1\n└─ west\n');
});
