// The kernel's network state in whole values: read it, diff it, make it so, leave nothing behind.
// The one invariant: everything that is put into a kernel can be recognised there without memory (protocol number,
// tables, device names, nexthop ids, table name; sysctls alone are remembered on disk), and nothing else is touched.

export type { Applied, ApplyOptions } from './apply.ts';
export { applyState, changeState, cleanState } from './apply.ts';
export { changesBetween } from './between.ts';
export type { Changes, Diff, NftChange, SysctlChange } from './changes.ts';
export { readCounters } from './counters.ts';
export type { RememberedSysctls } from './diff-rest.ts';
export { diffState, hasChanges } from './diff-state.ts';
export { diff } from './diff.ts';
export type { Failure } from './execute.ts';
export { flock } from './flock.ts';
export { whatForbidsForwarding } from './forwarding.ts';
export type { HeldLink, KernelState } from './kernel-state.ts';
export { isOurDevice, isTunnelDevice } from './own.ts';
export type { Counter } from './parse-nft.ts';
export type { ReadOptions } from './read.ts';
export { readState } from './read.ts';
export type { Command, Run } from './run.ts';
export { CommandError, inNamespace, runCommand, systemPath } from './run.ts';
export type {
  InterfaceAddress,
  Link,
  Neighbour,
  NetworkState,
  Nexthop,
  NexthopGroup,
  NftTable,
  Route,
  Rule,
} from './state.ts';
export { EMPTY_STATE } from './state.ts';
export { readElements, removeTable } from './table.ts';
