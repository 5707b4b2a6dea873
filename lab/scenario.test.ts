import fs from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { both, lanAddress, nodePods, sitePods, uplink } from './addresses.ts';
import { Home } from './home.ts';
import { endpointOf, layout } from './layout.ts';
import { check } from './pod/check.ts';
import { checkScenario, parseScenario } from './scenario.ts';

const directory = path.join(import.meta.dirname, 'scenarios');

test('parseScenario() reads every scenario of the repository', async (t) => {
  for (const file of await fs.readdir(directory)) {
    const scenario = parseScenario(await fs.readFile(path.join(directory, file), 'utf8'), file);
    t.is(`${scenario.name}.yaml`, file);
  }
});

const refused = test.macro((t, text: string, reason: RegExp) => {
  const error = t.throws(() => parseScenario(text, 'x.yaml'), { instanceOf: SyntaxError });
  t.regex(error.message, /^Cannot read "x\.yaml": /);
  t.regex(error.message, reason);
});

test('parseScenario() refuses text that is no YAML', refused, 'sites: [', /Flow sequence/);
test('parseScenario() refuses a list', refused, '- east', /not a YAML mapping/);
test('parseScenario() refuses a lab without sites', refused, 'sites: {}', /0 sites/);
test(
  'parseScenario() names an unknown field',
  refused,
  'sites: { east: { gatways: 1 } }',
  /sites\.east\.gatways/,
);
test(
  'parseScenario() refuses a site that has the name of a place',
  refused,
  'sites: { broker: }',
  /"broker"/,
);
test('parseScenario() refuses a site that has the name of a device', refused, 'sites: { lo: }', /"lo"/);
test(
  'parseScenario() refuses nine gateways',
  refused,
  'sites: { east: { gateways: 9 } }',
  /sites\.east\.gateways/,
);

test('layout() gives no address, namespace or device twice', (t) => {
  const site = { gateways: 8, workers: 20, podsPerGateway: 2 };
  const plan = layout(
    checkScenario({ sites: { a: site, b: { ...site, nat: 'dial-out' }, c: { ...site, nat: 'forward' } } }),
  );
  const places = plan.places.map((place) => place.name);
  t.is(new Set(places).size, places.length);
  const devices = plan.wires.flatMap((wire) => wire.ends.map((end) => `${end.place} ${end.device}`));
  t.is(new Set(devices).size, devices.length);
  t.true(
    plan.wires.every((wire) =>
      wire.ends.every((end) => places.includes(end.place) && end.device.length <= 15),
    ),
  );
  const addresses = plan.sites.flatMap((each) => [
    ...each.nodes.flatMap((node) => [
      ...both(node.addresses),
      ...node.pods.flatMap((pod) => both(pod.addresses)),
    ]),
    ...both(uplink(each.plan).router),
  ]);
  t.is(new Set(addresses).size, addresses.length);
});

test('layout() leaves out the families that a site does not have', (t) => {
  const [site] = layout(checkScenario({ sites: { a: { underlay: 'v6', pods: 'v4' } } })).sites;
  t.truthy(site);
  if (site === undefined) return;
  t.deepEqual(Object.keys(lanAddress(site.plan, 7)), ['v6']);
  t.deepEqual(
    [...both(sitePods(site.plan)), ...both(nodePods(site.plan, 7))],
    ['10.1.0.0/16', '10.1.7.0/24'],
  );
});

test('endpointOf() is the address that others reach: none behind a router that lets nothing in, the router’s behind one that forwards', (t) => {
  const { sites } = layout(
    checkScenario({ sites: { a: {}, b: { nat: 'dial-out' }, c: { nat: 'forward' } } }),
  );
  const endpoints = sites.map((site) => site.nodes.slice(0, 3).map((node) => endpointOf(site, node)));
  t.deepEqual(endpoints, [
    [
      { addresses: ['198.18.1.200', '2001:db8:1::200'], port: 51820 },
      { addresses: ['198.18.1.201', '2001:db8:1::201'], port: 51820 },
      undefined,
    ],
    [undefined, undefined, undefined],
    [
      { addresses: ['198.19.3.2', '2001:db8:ff00:3::2'], port: 40_000 },
      { addresses: ['198.19.3.2', '2001:db8:ff00:3::2'], port: 40_064 },
      undefined,
    ],
  ]);
});

test('Home refuses a name by which other directories than a lab’s would be removed', (t) => {
  t.is(new Home('demo-2').root, '/run/isthmus-lab/demo-2');
  for (const name of ['', '.', '..', '../..', 'a/b', 'a.b', '-a'])
    t.throws(() => new Home(name), { instanceOf: SyntaxError, message: /letters, digits and hyphens/ }, name);
});

test('check() says why an address cannot even be asked, over UDP as well', async (t) => {
  // A broadcast address needs a permission that the socket does not have.
  const wanted = { protocol: 'udp', address: '255.255.255.255', timeoutMs: 2000 } as const;
  t.deepEqual(await check(wanted), { error: 'EACCES' });
});
