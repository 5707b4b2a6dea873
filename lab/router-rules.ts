// What a site's router does to packets: nothing, translation, or translation that lets nothing in.
// This module is pure.

import { WIREGUARD_PORTS } from '#lib/constants';
import { outsidePort, type LabNode, type LabSite } from './layout.ts';

/** The router's nftables ruleset; empty for a site with addresses of its own on the internet. */
export function routerRules(site: LabSite): string {
  if (!site.plan.translated) return '';
  const forwarded =
    site.scenario.nat === 'forward' ? site.nodes.filter((node) => node.role === 'gateway') : [];
  return `table inet router {
  chain pre { type nat hook prerouting priority dstnat; policy accept;
    ${portMap(site, forwarded, 'v4')}
    ${portMap(site, forwarded, 'v6')}
  }
  chain forward { type filter hook forward priority filter; policy accept;
    iifname "wan" ct state established,related accept
    iifname "wan" ct status dnat accept
    iifname "wan" counter drop
  }
  chain post { type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" masquerade
  }
}
`;
}

/** One entry a port: nftables cannot move a range of ports as a whole. */
function portMap(site: LabSite, gateways: readonly LabNode[], family: 'v4' | 'v6'): string {
  const entries = gateways.flatMap((node) => {
    const address = node.addresses[family];
    if (address === undefined) return [];
    return Array.from(
      { length: WIREGUARD_PORTS },
      (_, n) => `${outsidePort(node.ordinal ?? 0) + n} : ${address} . ${site.scenario.listenPort + n}`,
    );
  });
  if (entries.length === 0) return '';
  const ip = family === 'v4' ? 'ip' : 'ip6';
  return `iifname "wan" meta nfproto ip${family} dnat ${ip} to udp dport map { ${entries.join(', ')} }`;
}
