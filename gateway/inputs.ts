// What a gateway starts from: the own site and the clusterset's view, the last usable one of each where the newest is not.

import type { ClustersetView } from '#broker';
import type { Conditions } from '#host';
import { condition } from '#lib/conditions';
import type { SiteReader, Site } from '#site';
import type { Node } from '#topology';
import { fleetMapper } from './fleet.ts';
import type { Mapped } from './fleet.ts';

/** The node of a gateway. */
export type GatewayNode = Node & { readonly ordinal: number };

export interface Inputs {
  readonly site: Site;
  readonly node: GatewayNode;
  readonly mapped: Mapped;
}

export interface InputsOptions {
  readonly reader: SiteReader;
  readonly view: () => ClustersetView;
  /** Name of this host's node. */
  readonly node: string;
  readonly conditions: Conditions;
}

/** Reads again and again; a fault is a condition, and what was last usable counts. */
export function inputsReader(options: InputsOptions): () => Promise<Inputs> {
  const map = fleetMapper();
  let last: Pick<Inputs, 'site' | 'node'> | undefined;
  return async () => {
    const { reader, view, node, conditions } = options;
    try {
      const site = await reader.site();
      const found = gatewayNode(site, node);
      const inputs = { site, node: found, mapped: map(view(), site) };
      conditions.set('site', []);
      last = { site, node: found };
      return inputs;
    } catch (error) {
      if (last === undefined) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      conditions.set('site', [condition('IST_SITE_INVALID', options.node, { reason })]);
      return { ...last, mapped: map(view(), last.site) };
    }
  };
}

/** @throws {RangeError} when the site has no such gateway */
export function gatewayNode({ id, nodes }: Pick<Site, 'id' | 'nodes'>, name: string): GatewayNode {
  const node = nodes.find((each) => each.name === name);
  if (node === undefined) {
    const names = nodes.map((each) => each.name).join(', ');
    throw new RangeError(
      `Cannot be a gateway of "${id}": site.yaml has no node "${name}", it has ${names}. Say by --node which one this is`,
    );
  }
  const { ordinal } = node;
  if (ordinal === undefined) {
    throw new RangeError(
      `Cannot be a gateway of "${id}": "${name}" is a worker. Run isthmus-route-agent here`,
    );
  }
  return { ...node, ordinal };
}
