// One plan made true on this host: network first, then what WireGuard's devices hold.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DRILL_TABLE } from '#lib/constants';
import { applyState, changeState, cleanState, removeTable } from '#lib/linux';
import type { Applied, Changes, Failure, Run } from '#lib/linux';
import { WireGuardError, applyDevices, changeDevices } from '#lib/wireguard';
import type { DeviceConfig, DevicesApplied, PrivateKey, WireGuardSupport } from '#lib/wireguard';
import type { HostPlan } from '#topology';
import { KEYS_DIRECTORY } from './keys.ts';

export interface ApplyPlanOptions {
  readonly stateDir: string;
  /** Private keys by lane; empty on workers. */
  readonly keys: readonly PrivateKey[];
  /** How WireGuard devices come to be. */
  readonly wireguard: WireGuardSupport['wireguard'];
  /** What the last plan wanted of WireGuard, from {@link AppliedPlan}: tells an endpoint that we changed from one that roamed. */
  readonly before?: readonly DeviceConfig[];
}

export interface AppliedPlan {
  /** `incomplete`: {@link AppliedPlan.failures} says what did not succeed; the rest did. */
  readonly outcome: 'unchanged' | 'changed' | 'incomplete';
  readonly failures: readonly Failure[];
  readonly devices: readonly DeviceConfig[];
}

/**
 * Idempotent; may be killed at any point and called again. Unreachable routes and nftables come before anything that
 * could lead a packet somewhere (`applyState` sees to that), and peers last, so that nothing arrives that nobody judges.
 * No route waits for a peer: a tunnel is in a group only after its first answered probe.
 * @throws {CommandError} where the kernel cannot be read
 */
export async function applyPlan(run: Run, plan: HostPlan, options: ApplyPlanOptions): Promise<AppliedPlan> {
  const { stateDir, wireguard } = options;
  const network = await applyState(run, plan.network, { stateDir, wireguard });
  const configs = deviceConfigs(plan, options.keys);
  const before = options.before ?? [];
  // Where devices do not answer, the network is no worse for it.
  const peers = await applyDevices(run, configs, { before }).catch(unanswered);
  return together(network, configs, peers);
}

function unanswered(error: unknown): Pick<DevicesApplied, 'outcome' | 'failures'> {
  if (error instanceof WireGuardError) return { outcome: 'incomplete', failures: [error] };
  throw error;
}

/** What leads from a plan that stands to the next one. */
export interface PlanChange {
  /** From `changesBetween`. */
  readonly network: Changes;
  readonly before: readonly DeviceConfig[];
  readonly devices: readonly DeviceConfig[];
}

/** As {@link applyPlan}, on a host that is known to hold the plan before: nothing is read. */
export async function changePlan(run: Run, { network, before, devices }: PlanChange): Promise<AppliedPlan> {
  const changed = await changeState(run, network);
  return together(changed, devices, await changeDevices(run, devices, before));
}

function together(
  network: Pick<Applied, 'outcome' | 'failures'>,
  devices: readonly DeviceConfig[],
  peers: Pick<DevicesApplied, 'outcome' | 'failures'>,
): AppliedPlan {
  const outcomes = [network.outcome, peers.outcome];
  const outcome = (['incomplete', 'changed'] as const).find((each) => outcomes.includes(each)) ?? 'unchanged';
  const failed = peers.failures.map(({ message }) => ({ what: 'WireGuard', reason: message }));
  return { outcome, devices, failures: [...network.failures, ...failed] };
}

/** What WireGuard's devices should hold; a device whose lane has no key is left out. */
export function deviceConfigs({ devices }: HostPlan, keys: readonly PrivateKey[]): DeviceConfig[] {
  return devices.flatMap(({ lane, ...device }) => {
    const privateKey = keys[lane];
    return privateKey === undefined ? [] : { ...device, privateKey };
  });
}

/**
 * Removes everything of ours from this host, the unreachable routes last, and its WireGuard keys. Call it with the
 * host's lock held.
 * @throws {Error} when something stays: calling it again goes on
 */
export async function removeHost(run: Run, stateDir: string): Promise<void> {
  await removeTable(run, DRILL_TABLE);
  const { failures } = await cleanState(run, { stateDir });
  const [first] = failures;
  if (first !== undefined) {
    throw new Error(`Cannot remove everything from this host: ${first.what}: ${first.reason}. Try again`);
  }
  await rm(join(stateDir, KEYS_DIRECTORY), { recursive: true, force: true });
}
