// Whether this machine can be a member's host at all, and what its kernel can do.

import { geteuid } from 'node:process';
import { NEXTHOP_LAST, ROUTE_PROTOCOL } from '#lib/constants';
import { CommandError } from '#lib/linux';
import type { Run } from '#lib/linux';
import type { Host } from '#topology';

/** This host lacks rights, programs or kernel features, or another process has it. */
export class UnfitHostError extends Error {
  override readonly name: string = 'UnfitHostError';
}

/** Programs that a host needs, with what gives them on Debian. */
const PROGRAMS = [
  { argv: ['ip', '-Version'], packaged: 'iproute2' },
  { argv: ['nft', '--version'], packaged: 'nftables' },
  { argv: ['wg', '--version'], packaged: 'wireguard-tools' },
  { argv: ['sysctl', '--version'], packaged: 'procps' },
  { argv: ['setpriv', '--version'], packaged: 'util-linux' },
] as const;

/** Two ids of our range that no plan uses. */
const PROBE_NEXTHOP = NEXTHOP_LAST - 1;
const PROBE_GROUP = NEXTHOP_LAST;

/** @throws {UnfitHostError} for anybody but root: what follows would only say which file is closed to them */
export function requireRoot(): void {
  if (geteuid?.() === 0) return;
  throw new UnfitHostError("Cannot change this host's network: it needs root. Run it again with sudo");
}

/**
 * Tries what cannot be known by asking: nexthop objects (Linux 5.3) and resilient groups (5.13).
 * @throws {UnfitHostError} that says what is missing and how to get it
 */
export async function checkHost(run: Run): Promise<Pick<Host, 'resilient'>> {
  requireRoot();
  for (const { argv, packaged } of PROGRAMS) await requireProgram(run, argv, packaged);
  try {
    await nexthop(run, PROBE_NEXTHOP, ['blackhole']);
  } catch (cause) {
    throw new UnfitHostError(
      'Cannot use this kernel: it has no nexthop objects. Linux 5.13 or newer is wanted, with lo up',
      {
        cause,
      },
    );
  }
  try {
    return { resilient: await tryResilient(run) };
  } finally {
    // A group goes with its last member. A daemon that runs here (join renews a membership) may have removed both already.
    await run({ argv: ['ip', 'nexthop', 'delete', 'id', String(PROBE_NEXTHOP)] }).catch(() => undefined);
  }
}

async function tryResilient(run: Run): Promise<boolean> {
  try {
    await nexthop(run, PROBE_GROUP, ['group', String(PROBE_NEXTHOP), 'type', 'resilient', 'buckets', '4']);
    return true;
  } catch {
    return false;
  }
}

async function nexthop(run: Run, id: number, words: readonly string[]): Promise<void> {
  await run({
    argv: ['ip', 'nexthop', 'replace', 'id', String(id), ...words, 'protocol', String(ROUTE_PROTOCOL)],
  });
}

async function requireProgram(
  run: Run,
  argv: readonly [string, ...string[]],
  packaged: string,
): Promise<void> {
  try {
    await run({ argv });
  } catch (cause) {
    if (!(cause instanceof CommandError) || !cause.isMissing) throw cause;
    throw new UnfitHostError(
      `Cannot find "${argv[0]}": it comes with ${packaged}. Install that and try again`,
      {
        cause,
      },
    );
  }
}
