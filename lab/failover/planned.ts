// Planned changes, each by the commands that an operator would give.

import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { faultOf, type Fault } from '../faults/fault.ts';
import type { Lab } from '../lab.ts';
import { saidBy, startDaemon } from '../product.ts';
import { siteDocument } from '../site-files.ts';

/** Milliseconds that others have to learn that a gateway goes. */
const FORGOTTEN_MS = 15_000;
const LOOK_MS = 250;

/** @throws {Error} that says so where this version has no such command */
async function clusterctl(lab: Lab, place: string, args: readonly string[]): Promise<void> {
  try {
    await lab.place(place).exec(['clusterctl', ...args], { timeoutMs: 60_000 });
  } catch (cause) {
    const said = saidBy(cause);
    const why = /unknown command|too many arguments/i.test(said) ? 'this version has no such command' : said;
    throw new Error(`Cannot run "clusterctl ${args.join(' ')}" on ${place}: ${why}`, { cause });
  }
}

/** Undone by `undrain`. */
export async function drainGateway(lab: Lab, place: string): Promise<Fault> {
  const { name } = lab.node(place).node;
  await clusterctl(lab, place, ['drain', 'gateway', name]);
  return faultOf(`${place} drained`, () => clusterctl(lab, place, ['undrain', 'gateway', name]));
}

/** New keys for all tunnels of a gateway: there is no way back. */
export async function rotateKeys(lab: Lab, place: string): Promise<Fault> {
  await clusterctl(lab, place, ['rotate-keys']);
  return faultOf(`${place}: keys rotated`);
}

/** As the runbook says: drained, out of site.yaml, forgotten by the others, stopped, its host cleaned. Undone, it is added as new. */
export async function removeGateway(lab: Lab, place: string): Promise<Fault> {
  const [site = ''] = place.split('/');
  const { name } = lab.node(place).node;
  await clusterctl(lab, place, ['drain', 'gateway', name]);
  await describe(lab, site, { without: name });
  await forgotten(lab, place);
  await lab.kill({ place, role: 'gateway' }, 'SIGTERM');
  await clusterctl(lab, place, ['leave', '--host-only', '--yes']);
  return faultOf(`${place} removed`, async () => {
    await describe(lab, site, {});
    await startDaemon(lab, place);
    await clusterctl(lab, place, ['undrain', 'gateway', name]);
  });
}

/** Until the gateways of the other site have no tunnel to it any more. */
async function forgotten(lab: Lab, place: string): Promise<void> {
  const [site = ''] = place.split('/');
  const { ordinal } = lab.node(place).node;
  const peers = lab.nodes.filter((node) => node.role === 'gateway' && !node.place.startsWith(`${site}/`));
  for (const until = Date.now() + FORGOTTEN_MS; ; await sleep(LOOK_MS)) {
    const said = await Promise.all(
      peers.map((peer) => lab.place(peer.place).exec(['clusterctl', 'show', 'tunnels', '-o', 'json'])),
    );
    if (said.every((text) => !text.includes(`"${site}/${ordinal}#`))) return;
    if (Date.now() > until) throw new Error(`Cannot remove ${place}: others have tunnels to it still`);
  }
}

/** So many lanes from now on; undone, as many as before. */
export async function changeLanes(lab: Lab, site: string, lanes: number): Promise<Fault> {
  await describe(lab, site, { lanes });
  return faultOf(`${site}: ${lanes} lanes`, () => describe(lab, site, {}));
}

/** Describes a site anew, as its operators would: the file appears whole. */
async function describe(
  lab: Lab,
  site: string,
  change: { readonly lanes?: number; readonly without?: string },
): Promise<void> {
  const file = path.join(lab.home.site(site).directory, 'site.yaml');
  const document = siteDocument(lab.site(site));
  const { nodes } = document;
  const kept = Array.isArray(nodes)
    ? nodes.filter((node: { name: string }) => node.name !== change.without)
    : [];
  const text = stringify({ ...document, nodes: kept, lanes: change.lanes ?? document['lanes'] });
  await fs.writeFile(`${file}.new`, text);
  await fs.rename(`${file}.new`, file);
}
