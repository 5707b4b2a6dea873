// What this gateway states of itself to other clusters: its record, for as long as the site has it.

import type { GatewayView, Member } from '#broker';
import type { GatewayNode } from './inputs.ts';
import type { Lanes } from './lanes.ts';

export interface StatementOptions {
  readonly member: Pick<Member, 'publishGateway' | 'withdraw'>;
  readonly lanes: Pick<Lanes, 'keys' | 'fault'>;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
}

/** Milliseconds that others get to leave a gateway that goes: an idle path is asked once in that time. */
const FAREWELL_MS = 1000;

export class Statement {
  readonly #options: Required<StatementOptions>;
  #said: string | undefined;
  /** Until when a gateway stays that is taken out of the site. */
  #farewellAt: number | undefined;

  constructor(options: StatementOptions) {
    this.#options = { now: () => performance.now(), ...options };
  }

  /**
   * States it; the member takes back an ordinal that it no longer has. Without all keys nothing is said: tunnels stand by
   * those that were, and a shorter list would end them.
   */
  async say({ ordinal, endpoint }: GatewayNode, wanted: number): Promise<void> {
    const { member, lanes } = this.#options;
    this.#farewellAt = undefined;
    if (lanes.fault !== undefined) return;
    const keys = lanes.keys.slice(0, wanted).map(({ publicKey }) => publicKey);
    const gateway: GatewayView = { ordinal, keys, ...(endpoint === undefined ? {} : { endpoint }) };
    const text = JSON.stringify(gateway);
    if (text === this.#said) return;
    await member.publishGateway(gateway);
    this.#said = text;
  }

  /**
   * Takes it back. Own workers do not know this gateway any more, and drop what it would hand them; others are told to
   * leave it first.
   *
   * @returns milliseconds after which this has to be called again; Infinity once there is nothing left to take back
   */
  async takeBack(): Promise<number> {
    if (this.#said === undefined) return Infinity;
    const now = this.#options.now();
    this.#farewellAt ??= now + FAREWELL_MS;
    if (now < this.#farewellAt) return this.#farewellAt - now;
    // Only then: a withdrawal that cannot be signed is tried again.
    await this.#options.member.withdraw();
    this.#said = undefined;
    return Infinity;
  }
}
