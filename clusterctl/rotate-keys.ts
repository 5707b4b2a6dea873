// `clusterctl rotate-keys`: gives the tunnels of this host's gateway new keys, lane by lane.

import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { wishLaneKeys } from '#host';
import { messageOf } from '#lib/errors';
import type { Context } from './context.ts';
import { readDaemonState } from './daemon.ts';
import { CliError, EXIT, unlessUnreachable } from './exit.ts';
import { startProgress } from './progress.ts';

export interface RotateKeysOptions {
  readonly state: string;
  readonly statusPort?: number;
  /** Also where nothing else leads to a cluster meanwhile. */
  readonly force?: boolean;
}

/** What is read of the gateway daemon's state. */
const STATE = v.looseObject({
  component: v.literal('gateway'),
  node: v.string(),
  broker: v.looseObject({ connected: v.boolean() }),
  lanes: v.array(
    v.looseObject({
      lane: v.number(),
      publicKey: v.string(),
      rotation: v.picklist(['idle', 'wished', 'resting', 'proving']),
      only: v.array(v.string()),
    }),
  ),
  tunnels: v.array(v.looseObject({ id: v.string(), up: v.boolean() })),
});
type State = v.InferOutput<typeof STATE>;

/** Milliseconds that one lane may take: 10 s of rest, 30 s of proof, and some attempts where both ends begin at once. */
const PATIENCE_MS = 120_000;
const LOOK_MS = 250;

export async function rotateKeys(context: Context, options: RotateKeysOptions): Promise<void> {
  const before = await readState(options);
  check(before, options);
  await wish(options);
  const progress = startProgress(context);
  for (const { lane, publicKey } of before.lanes) {
    await progress(`Giving lane ${lane} a new key`, () => renewed(context, { lane, publicKey }, options));
  }
  const up = new Set(upOf(await readState(options)));
  const silent = upOf(before).filter((id) => !up.has(id));
  const lanes = before.lanes.length === 1 ? '1 lane' : `${before.lanes.length} lanes`;
  if (silent.length > 0) {
    throw new CliError(
      EXIT.failed,
      `${lanes} of gateway ${before.node} got new keys, and by them ${silent.join(', ')} does not answer. See: clusterctl show paths`,
    );
  }
  context.terminal.say(`${lanes} of gateway ${before.node} got new keys, and all tunnels answer by them`);
}

function upOf({ tunnels }: State): string[] {
  return tunnels.filter(({ up }) => up).map(({ id }) => id);
}

/** @throws {CliError} where packets would be lost, or nobody would hear of the keys */
function check({ node, broker, lanes }: State, { force }: RotateKeysOptions): void {
  if (!broker.connected) {
    throw new CliError(
      EXIT.unreachable,
      `Cannot rotate the keys of "${node}": its daemon does not reach the broker, so other clusters would not hear of them. See: clusterctl show conditions`,
    );
  }
  const only = [...new Set(lanes.flatMap((lane) => lane.only))];
  if (only.length === 0 || force === true) return;
  throw new CliError(
    EXIT.refused,
    `Cannot rotate the keys of "${node}": no other lane or gateway leads to ${only.join(', ')} meanwhile. Do it at the price of a moment's loss with --force`,
  );
}

async function wish({ state, force = false }: RotateKeysOptions): Promise<void> {
  const reason = await wishLaneKeys(state, force).then(
    (count) => (count === 0 ? 'there is none' : undefined),
    (cause: unknown) => messageOf(cause),
  );
  if (reason === undefined) return;
  throw new CliError(
    EXIT.usage,
    `Cannot rotate the lane keys in "${state}": ${reason}. Say by --state which state directory the gateway uses`,
  );
}

/** @throws {CliError} when it has the old key still after a while: the daemon goes on by itself */
async function renewed(
  { signal }: Context,
  old: { readonly lane: number; readonly publicKey: string },
  options: RotateKeysOptions,
): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
    await delay(LOOK_MS, undefined, { signal });
    // A daemon that is restarted, or late, goes on with it all the same.
    const state = await readState(options).catch(unlessUnreachable);
    if (state === undefined) continue;
    const now = state.lanes.find(({ lane }) => lane === old.lane);
    // A lane that was given up in the meantime needs no key.
    if (now === undefined || (now.publicKey !== old.publicKey && now.rotation === 'idle')) return;
  }
  throw new CliError(
    EXIT.failed,
    `Cannot see a new key on lane ${old.lane} after ${PATIENCE_MS / 1000} s: the gateway waits until others carry its packets, and goes on by itself. See: clusterctl show paths`,
  );
}

/** @throws {CliError} where no gateway daemon answers: it alone changes keys without a loss */
async function readState({ statusPort }: RotateKeysOptions): Promise<State> {
  const result = v.safeParse(STATE, await readDaemonState(statusPort));
  if (result.success) return result.output;
  throw new CliError(
    EXIT.unreachable,
    'Cannot rotate keys from this host: no gateway daemon answers on it. Run this on the gateway. See: systemctl status isthmus-gateway',
  );
}
