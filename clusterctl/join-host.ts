// Whether this host can be a gateway of the cluster that is about to join.

import { checkHost } from '#host';
import { MAX_GATEWAYS } from '#lib/constants';
import { messageOf } from '#lib/errors';
import type { Run } from '#lib/linux';
import { detectWireGuard } from '#lib/wireguard';
import type { Site } from '#site';
import { CliError, EXIT } from './exit.ts';
import { takenPort } from './ports.ts';

/** @throws {CliError} with what this host lacks */
export async function checkJoiningHost(run: Run, site: Site): Promise<void> {
  try {
    await checkHost(run);
    await detectWireGuard(run);
  } catch (cause) {
    const reason = messageOf(cause);
    throw new CliError(EXIT.incapable, `Cannot join "${site.id}" from this host. ${reason}`, { cause });
  }
  const port = await takenPort(run, wantedPorts(site));
  if (port === undefined) return;
  throw new CliError(
    EXIT.incapable,
    `Cannot join "${site.id}": UDP port ${port} is in use on this host. Set another listenPort in site.yaml, or see who has it: ss -lunp "sport = :${port}"`,
  );
}

/** `base + 8·lane + remote ordinal`, for every ordinal that another cluster may have. */
function wantedPorts({ listenPort, lanes }: Site): number[] {
  return Array.from({ length: lanes * MAX_GATEWAYS }, (_, at) => listenPort + at);
}
