// Which node of the site a route agent may be.
// This module is pure.

import type { Site } from '#site';
import type { Node } from '#topology';

/** @throws {RangeError} when the site has no such worker */
export function workerNode({ id, nodes }: Pick<Site, 'id' | 'nodes'>, name: string): Node {
  const node = nodes.find((each) => each.name === name);
  if (node === undefined) {
    const names = nodes.map((each) => each.name).join(', ');
    throw new RangeError(
      `Cannot be a worker of "${id}": site.yaml has no node "${name}", it has ${names}. Say by --node which one this is`,
    );
  }
  if (node.role === 'worker') return node;
  throw new RangeError(
    `Cannot be a worker of "${id}": "${name}" is a gateway, and isthmus-gateway holds the whole host to its plan. Run that here, and nothing else`,
  );
}
