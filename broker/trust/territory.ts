// CIDRs and whose they are: pairwise disjoint, so that two binary searches find every overlap.
// This module is pure.

import type { Cidr } from '#lib/ip';
import { compare, overlaps } from '#lib/ip';
import type { ClusterId } from '#lib/names';

/** One CIDR and its holder. */
export interface Plot {
  readonly cidr: Cidr;
  readonly cluster: ClusterId;
}

/**
 * Who holds which CIDRs. CIDRs nest or are disjoint; the held ones are disjoint; so a new one that overlaps any
 * overlaps its neighbour in sort order.
 */
export class Territory {
  readonly #plots: Plot[] = [];

  /** A plot of another cluster that overlaps the CIDR. */
  clash(cidr: Cidr, cluster: ClusterId): Plot | undefined {
    const at = this.#place(cidr);
    return this.#other(at, -1, cidr, cluster) ?? this.#other(at, 1, cidr, cluster);
  }

  add(cidr: Cidr, cluster: ClusterId): void {
    this.#plots.splice(this.#place(cidr), 0, { cidr, cluster });
  }

  remove(cidr: Cidr, cluster: ClusterId): void {
    const at = this.#place(cidr);
    const plot = this.#plots[at];
    if (plot?.cidr === cidr && plot.cluster === cluster) this.#plots.splice(at, 1);
  }

  /** The nearest plot in one direction that is not the cluster's own: its own ones are about to be replaced. */
  #other(place: number, step: 1 | -1, cidr: Cidr, cluster: ClusterId): Plot | undefined {
    let at = step === 1 ? place : place - 1;
    while (this.#plots[at]?.cluster === cluster) at += step;
    const plot = this.#plots[at];
    return plot !== undefined && overlaps(plot.cidr, cidr) ? plot : undefined;
  }

  /** Index of the first plot that does not sort before the CIDR. */
  #place(cidr: Cidr): number {
    let low = 0;
    let high = this.#plots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const plot = this.#plots[middle];
      if (plot !== undefined && compare(plot.cidr, cidr) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
