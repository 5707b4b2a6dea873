// Reads what an earlier process of this gateway has left in the kernel.

import { readState } from '#lib/linux';
import type { Run } from '#lib/linux';
import { readDevices } from '#lib/wireguard';
import type { PrivateKey } from '#lib/wireguard';
import type { Remains } from './adopt.ts';

/** Without devices that have yet to get the key of their lane: nobody answers by that. */
export async function readRemains(run: Run, keys: readonly PrivateKey[]): Promise<Remains> {
  const { groups } = await readState(run, { sysctls: [] });
  // A device that hangs is reported when the plan is applied; the groups alone are believed until then.
  const devices = await readDevices(run).catch(() => undefined);
  if (devices === undefined) return { groups };
  const own = new Set(keys.map(({ publicKey }) => publicKey));
  return {
    groups,
    devices: devices.filter(({ publicKey }) => publicKey !== undefined && own.has(publicKey)),
  };
}
