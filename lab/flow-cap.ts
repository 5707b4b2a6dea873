// How the lab's internet gives every UDP flow so much and no more, as clouds do.
// This module is pure.

export function flowCap(_mbps: number): string {
  return '';
}
