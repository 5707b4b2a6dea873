// `clusterctl rotate-keys`: gives the tunnels of this host's gateway new keys, lane by lane.

import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { wishLaneKeys } from '#host';
import { codeOf } from '#lib/errors';
import type { Context } from './context.ts';
import { CliError, EXIT } from './exit.ts';
import { askGateway, glanceAtGateway } from './gateway-daemon.ts';
import type { GatewaySnapshot, Question } from './gateway-daemon.ts';
import { startProgress } from './progress.ts';

export interface RotateKeysOptions {
  readonly state: string;
  readonly statusPort?: number;
  /** Also where nothing else leads to a cluster meanwhile. */
  readonly force?: boolean;
  /** Milliseconds that tunnels may take to answer by their new keys. @default 30_000 */
  readonly proofMs?: number;
}

const MORE = v.object({
  broker: v.object({ connected: v.boolean() }),
  lanes: v.array(
    v.object({
      lane: v.number(),
      publicKey: v.string(),
      rotation: v.picklist(['idle', 'wished', 'resting', 'proving']),
      only: v.array(v.string()),
    }),
  ),
  tunnels: v.array(v.object({ id: v.string(), up: v.boolean() })),
});
type State = v.InferOutput<typeof MORE>;
type Gateway = GatewaySnapshot<State>;

/** Milliseconds that one lane may take: 10 s of rest, 30 s of proof, and some attempts where both ends begin at once. */
const PATIENCE_MS = 120_000;
const PROOF_MS = 30_000;
const LOOK_MS = 250;

export async function rotateKeys(context: Context, options: RotateKeysOptions): Promise<void> {
  const { node, more: before } = await askGateway(question(options));
  const lone = check({ node, more: before }, options);
  await wish(options, lone);
  const silent = await given(context, before, options);
  const lanes = before.lanes.length === 1 ? '1 lane' : `${before.lanes.length} lanes`;
  if (silent.length > 0) {
    throw new CliError(
      EXIT.failed,
      `${lanes} of gateway ${node} got new keys, and by them ${silent.join(', ')} does not answer. See: clusterctl show paths`,
    );
  }
  context.terminal.say(
    `${lanes} of gateway ${node} got new keys, and all tunnels that answered before (${upOf(before).length}) answer by them`,
  );
}

/** Waits for the keys, and for the tunnels that answered before: those that do not answer by the new ones. */
async function given(
  context: Context,
  before: State,
  options: RotateKeysOptions,
): Promise<readonly string[]> {
  const progress = startProgress(context);
  try {
    for (const { lane, publicKey } of before.lanes) {
      await progress(`Giving lane ${lane} a new key`, () => renewed(context, { lane, publicKey }, options));
    }
    return await silentOf(context, upOf(before), options);
  } catch (error) {
    if (context.signal.aborted) context.terminal.say('The gateway goes on with it by itself');
    throw error;
  }
}

function upOf({ tunnels }: State): string[] {
  return tunnels.filter(({ up }) => up).map(({ id }) => id);
}

/** Those of these tunnels that are there and do not answer, after a while: a daemon that has just been restarted finds them one by one. */
async function silentOf(
  { signal }: Context,
  tunnels: readonly string[],
  options: RotateKeysOptions,
): Promise<readonly string[]> {
  const { proofMs = PROOF_MS } = options;
  for (const end = performance.now() + proofMs; ;) {
    // A daemon that does not say has none that answers.
    const listed = (await glanceAtGateway(question(options)))?.more.tunnels;
    const silent = listed?.filter(({ id, up }) => !up && tunnels.includes(id)).map(({ id }) => id) ?? tunnels;
    if (silent.length === 0 || performance.now() > end) return silent;
    await delay(LOOK_MS, undefined, { signal });
  }
}

/**
 * The lanes that nothing stands in for: those alone are forced, and only where the operator says so.
 * @throws {CliError} where packets would be lost, or nobody would hear of the keys
 */
function check(
  { node, more: { broker, lanes } }: Pick<Gateway, 'node' | 'more'>,
  { force }: RotateKeysOptions,
): ReadonlySet<number> {
  if (!broker.connected) {
    throw new CliError(
      EXIT.unreachable,
      `Cannot rotate the keys of "${node}": its daemon does not reach the broker, so other clusters would not hear of them. See: clusterctl show conditions`,
    );
  }
  const lone = lanes.filter(({ only }) => only.length > 0);
  if (lone.length === 0 || force === true) return new Set(lone.map(({ lane }) => lane));
  const clusters = [...new Set(lone.flatMap(({ only }) => only))].join(', ');
  throw new CliError(
    EXIT.refused,
    `Cannot rotate the keys of "${node}": nothing stands in for its lanes on the way to ${clusters} (clusterctl show paths). Do it at the price of what is lost meanwhile with --force`,
  );
}

async function wish({ state }: RotateKeysOptions, forced: ReadonlySet<number>): Promise<void> {
  const count = await wishLaneKeys(state, forced).catch((cause: unknown) => noKeys(cause));
  if (count > 0) return;
  throw new CliError(
    EXIT.usage,
    `Cannot rotate the lane keys in "${state}": there is none. Say by --state which state directory the gateway uses`,
  );
}

/** None where there is no such directory; whatever else is wrong says so itself. */
export function noKeys(cause: unknown): number {
  if (['ENOENT', 'ENOTDIR'].includes(codeOf(cause) ?? '')) return 0;
  throw cause;
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
    const now = (await glanceAtGateway(question(options)))?.more;
    if (now === undefined) continue;
    const lane = now.lanes.find((each) => each.lane === old.lane);
    // A lane that was given up in the meantime needs no key.
    if (lane === undefined || (lane.publicKey !== old.publicKey && lane.rotation === 'idle')) return;
  }
  throw new CliError(
    EXIT.failed,
    `Cannot see a new key on lane ${old.lane} after ${PATIENCE_MS / 1000} s: the gateway waits until others carry its packets and the broker has its record, and goes on by itself. See: clusterctl show conditions`,
  );
}

function question({ statusPort }: RotateKeysOptions): Question<State> {
  return { action: 'rotate keys', more: MORE, ...(statusPort !== undefined && { statusPort }) };
}
