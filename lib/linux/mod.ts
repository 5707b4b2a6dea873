// The kernel's network state in whole values: read it, diff it, make it so, leave nothing behind.

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
