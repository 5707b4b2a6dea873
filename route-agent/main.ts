// Starts the route agent, and ends with its exit status.

import { UsageError, checkHost, runDaemon, runProgram } from '#host';
import type { DaemonTools, Flags, Program } from '#host';
import { ROUTE_AGENT_HTTP_PORT } from '#lib/constants';
import { messageOf } from '#lib/errors';
import { runCommand } from '#lib/linux';
import { readSite } from '#site';
import manifest from '../package.json' with { type: 'json' };
import { Agent } from './agent.ts';
import { workerNode } from './role.ts';

const PROGRAM: Program = {
  name: 'isthmus-route-agent',
  version: manifest.version,
  purpose: "points other clusters' addresses at this cluster's gateways",
  statusPort: ROUTE_AGENT_HTTP_PORT,
  credentials: false,
};

await runProgram(PROGRAM, async (flags, signal) => {
  await checkRole(flags);
  await runDaemon({ program: PROGRAM, flags, signal, open: (tools) => openAgent(flags, tools) });
});

/** What is wrong with the site file or the node's name is said before anything is touched. */
async function checkRole({ site, node }: Flags): Promise<void> {
  const read = await readSite(site);
  try {
    workerNode(read.site, node);
  } catch (cause) {
    throw new UsageError(messageOf(cause), { cause });
  }
}

async function openAgent(flags: Flags, tools: DaemonTools): Promise<Agent> {
  const { resilient } = await checkHost(runCommand);
  return new Agent({ tools, flags, run: runCommand, resilient });
}
