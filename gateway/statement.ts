// What this gateway states of itself to other clusters: its record, for as long as the site has it.

import { isDeepStrictEqual } from 'node:util';
import type { GatewayView, Member } from '#broker';
import { Loop } from '#host';
import type { Again, DaemonTools } from '#host';
import { condition } from '#lib/conditions';
import { messageOf } from '#lib/errors';
import type { GatewayNode } from './inputs.ts';
import type { Lanes } from './lanes.ts';

export interface StatementOptions {
  readonly member: Pick<Member, 'publishGateway' | 'withdraw'>;
  readonly lanes: Pick<Lanes, 'keys' | 'fault'>;
  readonly conditions: Pick<DaemonTools['conditions'], 'set'>;
  readonly signal: AbortSignal;
  readonly node: string;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
}

/** Milliseconds that others get to leave a gateway that goes: an idle path is asked once in that time. */
const FAREWELL_MS = 1000;

export class Statement {
  readonly #options: Required<StatementOptions>;
  readonly #loop: Loop;
  #wanted: GatewayView | 'nothing' = 'nothing';
  #said: GatewayView | 'nothing' = 'nothing';
  /** Until when a gateway stays that is taken out of the site. */
  #farewellAt: number | undefined;

  constructor(options: StatementOptions) {
    this.#options = { now: () => performance.now(), ...options };
    const { signal } = options;
    this.#loop = new Loop({ pass: () => this.step(), failed: (error) => this.#failed(error), signal });
  }

  /** Beside the passes: a disk that is full or a broker that is slow must not hold up the kernel. */
  async run(): Promise<void> {
    await this.#loop.run();
  }

  /** From now on this. Without all keys what was said stands: tunnels stand by those that were, and a shorter list would end them. */
  state({ ordinal, endpoint }: GatewayNode, lanes: number): void {
    this.#farewellAt = undefined;
    if (this.#options.lanes.fault !== undefined) return;
    const keys = this.#options.lanes.keys.slice(0, lanes).map(({ publicKey }) => publicKey);
    this.#want({ ordinal, keys, ...(endpoint === undefined ? {} : { endpoint }) });
  }

  /**
   * From now on nothing. Own workers do not know this gateway any more, and drop what it would hand them; others are told to
   * leave it first.
   */
  takeBack(): void {
    this.#farewellAt ??= this.#options.now() + FAREWELL_MS;
    this.#want('nothing');
  }

  /** Says what is wanted by now, if it was not said. */
  async step(): Promise<Again> {
    const { member, conditions, now } = this.#options;
    const wanted = this.#wanted;
    if (!isDeepStrictEqual(wanted, this.#said)) {
      const restMs = wanted === 'nothing' ? (this.#farewellAt ?? 0) - now() : 0;
      if (restMs > 0) return { againMs: restMs };
      // A member takes back an ordinal that it no longer has.
      if (wanted === 'nothing') await member.withdraw();
      else await member.publishGateway(wanted);
      this.#said = wanted;
    }
    conditions.set('statement', []);
    return {};
  }

  #failed(error: unknown): void {
    const { conditions, node } = this.#options;
    const reason = messageOf(error);
    conditions.set('statement', [condition('IST_RECORD_UNSAID', node, { reason })]);
  }

  #want(wanted: GatewayView | 'nothing'): void {
    if (isDeepStrictEqual(wanted, this.#wanted)) return;
    this.#wanted = wanted;
    this.#loop.wake();
  }
}
