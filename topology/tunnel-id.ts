// What a tunnel is called, and what its name says.
// This module is pure.

/** `west/1#0`: remote cluster, remote ordinal, lane; the local gateway is the one who speaks. */
export type TunnelId = `${string}/${number}#${number}`;

export function tunnelId(cluster: string, ordinal: number, lane: number): TunnelId {
  return `${cluster}/${ordinal}#${lane}`;
}

/** `west/1#0` → `west`; of a far gateway, `west/1`, as well. */
export function clusterOf(id: string): string {
  return id.slice(0, id.lastIndexOf('/'));
}

/** `west/1#0` → `west/1` */
export function gatewayOf(id: TunnelId): string {
  return id.slice(0, id.lastIndexOf('#'));
}

/** `west/1#0` → 1 */
export function ordinalOf(id: TunnelId): number {
  return Number(id.slice(id.lastIndexOf('/') + 1, id.lastIndexOf('#')));
}

/** `west/1#0` → 0 */
export function laneOf(id: TunnelId): number {
  return Number(id.slice(id.lastIndexOf('#') + 1));
}
