// Whole clustersets on one machine: each lab is a set of namespaces, processes and files that all carry its name,
// and it neither reads nor changes the host's own addresses, routes, firewall or sysctls.

export { Capture } from './capture.ts';
export type { CaptureOptions } from './capture.ts';
export { linkDown, linkUp, setMtu } from './faults.ts';
export { killDaemon, restartDaemon, upgradeDaemon, withoutBroker } from './faults/daemons.ts';
export { faultOf, together } from './faults/fault.ts';
export type { Fault } from './faults/fault.ts';
export { flap } from './faults/flap.ts';
export type { Flapping, FlapOptions } from './faults/flap.ts';
export { cutWorkers, dropForwarded, forwardingOff } from './faults/gray.ts';
export { findFaults } from './faults/left.ts';
export { starve } from './faults/load.ts';
export { freeze, killNode, unplug } from './faults/nodes.ts';
export { blackHole, dropLarge, forbidUdp, isolate, lose } from './faults/paths.ts';
export type { PathOptions, UnderlayPath } from './faults/paths.ts';
export { deleteDevice, killWireGuard, tunnelDevices } from './faults/tunnels.ts';
export { Home, labNames, namespacesOf, netnsName } from './home.ts';
export { impair, mend } from './impair.ts';
export type { Line } from './impair.ts';
export { Lab, LabPlace } from './lab.ts';
export type { ProcessFilter, UpOptions } from './lab.ts';
export { layout } from './layout.ts';
export type { LabEnd, LabNode, LabPod, LabSite, Layout, Place, Wire } from './layout.ts';
export { findLeftovers } from './leftovers.ts';
export { measureMatrix } from './matrix.ts';
export type { MatrixOptions, MatrixPair } from './matrix.ts';
export type { Impairment } from './netem.ts';
export type { LabProcess, StartOptions } from './processes.ts';
export {
  createClusterset,
  expectDaemons,
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
export { analyse } from './traffic/analyse.ts';
export type { Analysis, ConnectionCount, FlowCount, Window } from './traffic/analyse.ts';
export { now } from './traffic/clock.ts';
export type { Trace } from './traffic/trace.ts';
export { Traffic } from './traffic/traffic.ts';
export type { TrafficOptions } from './traffic/traffic.ts';
