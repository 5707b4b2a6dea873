// What a gateway starts from: the own site and the clusterset's view, the last usable one of each where the newest is not.

import type { ClustersetView } from '#broker';
import type { Conditions } from '#host';
import { condition } from '#lib/conditions';
import { messageOf } from '#lib/errors';
import { NO_DRAINS } from '#site';
import type { Drains, SiteReader, Site } from '#site';
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
  readonly drains: Drains;
  /** `site.yaml` still has this gateway. Where not, nobody must be told any more to send here. */
  readonly isListed: boolean;
  /** Lanes that the last record of this gateway states. */
  readonly stated: number;
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
  const { reader, view, conditions } = options;
  const map = fleetMapper(options.cluster);
  const from = ({ site, node }: Pick<Inputs, 'site' | 'node'>): Pick<Inputs, 'mapped' | 'stated'> => {
    const known = view();
    const own = known.members.find(({ cluster }) => cluster === options.cluster);
    const record = own?.gateways.find(({ ordinal }) => ordinal === node.ordinal);
    return { mapped: map(known, site), stated: record?.keys.length ?? 0 };
  };
  let last: Pick<Inputs, 'site' | 'node'> | undefined;
  return async () => {
    const { drains, faults } = await readDrains(reader);
    const drainConditions = faults.map((reason) => condition('IST_SITE_INVALID', options.node, { reason }));
    try {
      const site = await reader.site();
      const node = gatewayNode(site, options.node);
      const inputs = { site, node, drains, ...from({ site, node }), isListed: true };
      conditions.set('site', drainConditions);
      last = { site, node };
      return inputs;
    } catch (error) {
      if (last === undefined) throw error;
      const isListed = !(error instanceof NoGatewayError);
      const code = isListed ? 'IST_SITE_INVALID' : 'IST_GATEWAY_UNLISTED';
      const unusable = condition(code, options.node, { reason: messageOf(error) });
      conditions.set('site', [unusable, ...drainConditions]);
      return { ...last, drains, ...from(last), isListed };
    }
  };
}

/** One that could never be used drains nothing: a slip in it must not keep a gateway from its work. */
async function readDrains(reader: SiteReader): Promise<{ drains: Drains; faults: readonly string[] }> {
  try {
    const { drains, faults } = await reader.drains();
    return { drains, faults: faults.map(messageOf) };
  } catch (error) {
    return { drains: NO_DRAINS, faults: [messageOf(error)] };
  }
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
