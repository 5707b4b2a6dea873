// Writes each site's site.yaml: the cluster as its operators would describe it.

import fs from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { both, sitePods } from './addresses.ts';
import type { Home } from './home.ts';
import { endpointOf, type LabSite, type Layout } from './layout.ts';

/** What site.yaml holds, as a value to change and write again in tests. */
export function siteDocument(site: LabSite): Record<string, unknown> {
  return {
    cluster: site.name,
    podCIDRs: both(sitePods(site.plan)),
    lanes: site.scenario.lanes,
    listenPort: site.scenario.listenPort,
    link: site.scenario.link,
    nodes: site.nodes.map((node) => ({
      name: node.name,
      role: node.role,
      ...(node.ordinal !== undefined && { ordinal: node.ordinal }),
      addresses: both(node.addresses),
      podCIDRs: both(node.podCidrs),
      ...(endpointOf(site, node) !== undefined && { endpoint: endpointOf(site, node) }),
    })),
  };
}

export async function writeSiteFiles(home: Home, layout: Layout): Promise<void> {
  for (const site of layout.sites) {
    const file = path.join(home.site(site.name).directory, 'site.yaml');
    await fs.writeFile(file, stringify(siteDocument(site)));
  }
}
