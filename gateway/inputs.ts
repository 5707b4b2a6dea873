// What a gateway starts from: the own site and the clusterset's view, the last usable one of each where the newest is not.

import type { ClustersetView } from '#broker';
import type { Conditions } from '#host';
import { condition } from '#lib/conditions';
import type { SiteReader, Site } from '#site';
import type { Node } from '#topology';
import type { ClusterId } from '#lib/names';
import { fleetMapper } from './fleet.ts';
import type { Mapped } from './fleet.ts';

/** The node of a gateway. */
export type GatewayNode = Node & { readonly ordinal: number };

export interface Inputs {
  readonly site: Site;
  readonly node: GatewayNode;
  readonly mapped: Mapped;
  /** `site.yaml` still has this gateway. Where not, nobody must be told any more to send here. */
  readonly isListed: boolean;
}

export interface InputsOptions {
  readonly reader: SiteReader;
  readonly view: () => ClustersetView;
  /** The own cluster, as the certificate names it. */
  readonly cluster: ClusterId;
  /** Name of this host's node. */
  readonly node: string;
  readonly conditions: Conditions;
}

/** Reads again and again; a fault is a condition, and what was last usable counts. */
export function inputsReader(options: InputsOptions): () => Promise<Inputs> {
  const map = fleetMapper(options.cluster);
  let last: Pick<Inputs, 'site' | 'node'> | undefined;
  return async () => {
    const { reader, view, node, conditions } = options;
    try {
      const site = await reader.site();
      const found = gatewayNode(site, node);
      const inputs = { site, node: found, mapped: map(view(), site), isListed: true };
      conditions.set('site', []);
      last = { site, node: found };
      return inputs;
    } catch (error) {
      if (last === undefined) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      const isListed = !(error instanceof NoGatewayError);
      const code = isListed ? 'IST_SITE_INVALID' : 'IST_GATEWAY_UNLISTED';
      conditions.set('site', [condition(code, options.node, { reason })]);
      return { ...last, mapped: map(view(), last.site), isListed };
    }
  };
}

/** The site has no gateway of that name. */
export class NoGatewayError extends RangeError {
  override readonly name = 'NoGatewayError';
}

/** @throws {NoGatewayError} when the site has no such gateway */
export function gatewayNode({ id, nodes }: Pick<Site, 'id' | 'nodes'>, name: string): GatewayNode {
  const node = nodes.find((each) => each.name === name);
  if (node === undefined) {
    const names = nodes.map((each) => each.name).join(', ');
    throw new NoGatewayError(
      `Cannot be a gateway of "${id}": site.yaml has no node "${name}", it has ${names}. Say by --node which one this is`,
    );
  }
  const { ordinal } = node;
  if (ordinal === undefined) {
    throw new NoGatewayError(
      `Cannot be a gateway of "${id}": "${name}" is a worker. Run isthmus-route-agent here`,
    );
  }
  return { ...node, ordinal };
}
