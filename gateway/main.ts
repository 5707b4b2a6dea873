// Starts the gateway daemon, and ends with its exit status.

import { openMember } from '#broker';
import { UsageError, checkHost, runDaemon, runProgram } from '#host';
import type { DaemonTools, Flags, Program } from '#host';
import { GATEWAY_HTTP_PORT } from '#lib/constants';
import { messageOf } from '#lib/errors';
import { runCommand } from '#lib/linux';
import { openWireGuard } from '#lib/wireguard';
import { readSite } from '#site';
import manifest from '../package.json' with { type: 'json' };
import { Gateway } from './gateway.ts';
import { gatewayNode } from './inputs.ts';

const PROGRAM: Program = {
  name: 'isthmus-gateway',
  version: manifest.version,
  purpose: "ends this cluster's tunnels on this host and holds the host to its plan",
  statusPort: GATEWAY_HTTP_PORT,
  credentials: true,
};

await runProgram(PROGRAM, async (flags, signal) => {
  await checkRole(flags);
  await runDaemon({ program: PROGRAM, flags, signal, open: (tools) => openGateway(flags, tools) });
});

/** What is wrong with the site file or the node's name is said before anything is touched. */
async function checkRole({ site, node }: Flags): Promise<void> {
  const read = await readSite(site);
  try {
    gatewayNode(read.site, node);
  } catch (cause) {
    throw new UsageError(messageOf(cause), { cause });
  }
}

async function openGateway(flags: Flags, tools: DaemonTools): Promise<Gateway> {
  const { log, signal } = tools;
  const run = runCommand;
  const { resilient } = await checkHost(run);
  const wireguard = await openWireGuard(run);
  const member = await openMember({ secrets: flags.secrets, state: flags.state, signal, log });
  return new Gateway({ tools, flags, run, member, wireguard, resilient });
}
