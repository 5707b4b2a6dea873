// Whole clustersets on one machine: each lab is a set of namespaces, processes and files that all carry its name,
// and it neither reads nor changes the host's own addresses, routes, firewall or sysctls.

export { Capture } from './capture.ts';
export type { CaptureOptions } from './capture.ts';
export { linkDown, linkUp, setMtu } from './faults.ts';
export { Home, labNames, namespacesOf, netnsName } from './home.ts';
export { Lab, LabPlace } from './lab.ts';
export type { ProcessFilter, UpOptions } from './lab.ts';
export { layout } from './layout.ts';
export type { LabEnd, LabNode, LabPod, LabSite, Layout, Place, Wire } from './layout.ts';
export { findLeftovers } from './leftovers.ts';
export { measureMatrix } from './matrix.ts';
export type { MatrixOptions, MatrixPair } from './matrix.ts';
export type { LabProcess, StartOptions } from './processes.ts';
export {
  createClusterset,
  issueToken,
  joinSite,
  leaveSite,
  startBroker,
  startClusterset,
  startDaemon,
  startDaemons,
  stopBroker,
  stopDaemons,
} from './product.ts';
export { checkScenario, parseScenario } from './scenario.ts';
export type { Scenario, ScenarioInput, SiteScenario } from './scenario.ts';
export { siteDocument } from './site-files.ts';
export { measureThroughput } from './throughput.ts';
export type { Throughput, ThroughputOptions } from './throughput.ts';
