// One far end: its key, and whether what it says in its asks is said now.

import type { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import type { Probe } from './message.ts';
import type { Question } from './questions.ts';
import { direction, isSealed, probeKey, seal } from './seal.ts';
import type { Ends, Secret } from './seal.ts';

/** Whom probes are exchanged with. */
export interface ProbePeer<Id> {
  /** The caller's name for the path. */
  readonly id: Id;
  /** By family, the preferred one first: small and full-size asks go there, transit asks by the one of their family. */
  readonly ends: readonly Ends[];
  /** Between gateways. Absent on a link between nodes of one cluster: workers hold no secret. */
  readonly secret?: Secret;
}

/** One pair of addresses, with both directions as they are sealed. */
export interface Way extends Ends {
  readonly outward: Buffer;
  readonly inward: Buffer;
}

/** Own nonces that a far end may show to prove that it speaks now: at the fastest pace those of more than a second. */
const RECENT = 32;
/** Milliseconds after which a far end that proves nothing is taken for a new one: its process may be. */
const STRANGE_MS = 5000;

/** What of an ask's flags may be believed: they are said now; that cannot be told; or they were said before. */
export type Freshness = 'fresh' | 'unproven' | 'stale';

/**
 * An answer proves itself by the nonce that it repeats. An ask does so by the nonce of ours that it heard last: an ask of
 * another time shows another one. Among those that show the same, the higher sequence was said later. So what was
 * accepted once is never accepted again, and no clock and no restart of either end matters.
 */
export class Peer<Id> {
  readonly id: Id;
  readonly ways: readonly Way[];
  readonly #secret: Secret | undefined;
  #key: KeyObject | null | undefined;
  /** Nonces of the last asks, each at its sequence modulo their number. */
  readonly #asked = new BigUint64Array(RECENT);
  #sequence = 0;
  #behind = 0;
  /** Nonce of the far end's last ask, which ours repeat. */
  #heard = 0n;
  #provenAt = -Infinity;
  /** The last fresh ask: sequence of our ask that it had heard, and its own. */
  #last = { shown: 0, sequence: 0 };

  constructor({ id, ends, secret }: ProbePeer<Id>) {
    this.id = id;
    this.#secret = secret;
    this.ways = ends.map(way);
  }

  get heard(): bigint {
    return this.#heard;
  }

  get kind(): 'tunnel' | 'link' {
    return this.#secret === undefined ? 'link' : 'tunnel';
  }

  /** How a question goes: to the far end, or through it. Undefined where nobody can be asked so. */
  wayOf(question: Question): Way | undefined {
    const isKeyed = this.#usable() !== null;
    if (question.kind !== 'transit') return isKeyed || this.kind === 'link' ? this.ways[0] : undefined;
    const { to } = question;
    const first = this.ways.find(({ local }) => isIP(local) === isIP(to));
    return first === undefined || !isKeyed ? undefined : way({ local: first.local, remote: to });
  }

  /** On a link nothing is sealed. */
  seal(bytes: Buffer, along: Buffer): void {
    const key = this.#usable();
    if (key !== null) seal(bytes, key, along);
  }

  /** Whether the far end has sealed it; on a link nobody can know. */
  isFrom(bytes: Buffer, along: Buffer): boolean {
    const key = this.#usable();
    return this.kind === 'link' || (key !== null && isSealed(bytes, key, along));
  }

  /** Whether the path between these two is still the same. */
  is({ ends, secret }: ProbePeer<Id>): boolean {
    const sameEnds =
      ends.length === this.ways.length &&
      this.ways.every((way, at) => way.local === ends[at]?.local && way.remote === ends[at].remote);
    return (
      sameEnds && secret?.peer === this.#secret?.peer && secret?.own.publicKey === this.#secret?.own.publicKey
    );
  }

  /** The sequence of an ask that goes through to somebody behind the far end, who proves nothing. */
  asksBehind(): number {
    this.#behind = (this.#behind + 1) >>> 0;
    return this.#behind;
  }

  /** The sequence of an ask that goes out with this nonce. */
  asks(nonce: bigint): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#asked[this.#sequence % RECENT] = nonce;
    return this.#sequence;
  }

  /** After an ask of the far end whose seal holds. `now` is of a monotonic clock. */
  hears({ nonce, sequence, heard }: Probe, now: number): Freshness {
    const freshness = this.#judge(heard, sequence);
    if (freshness === 'fresh') this.#provenAt = now;
    if (freshness === 'fresh' || now - this.#provenAt > STRANGE_MS) this.#heard = nonce;
    return freshness;
  }

  /** Made when it is first needed: a thousand at once would hold everything up. */
  #usable(): KeyObject | null {
    const [first] = this.ways;
    if (this.#key === undefined) {
      this.#key = this.#secret === undefined || first === undefined ? null : keyOf(this.#secret, first);
    }
    return this.#key;
  }

  #judge(heard: bigint, sequence: number): Freshness {
    const at = heard === 0n ? -1 : this.#asked.indexOf(heard);
    if (at === -1) return 'unproven';
    const shown = this.#sequence - ((this.#sequence - at) % RECENT);
    const last = this.#last;
    if (shown < last.shown || (shown === last.shown && sequence <= last.sequence)) return 'stale';
    this.#last = { shown, sequence };
    return 'fresh';
  }
}

function way({ local, remote }: Ends): Way {
  return { local, remote, outward: direction(local, remote), inward: direction(remote, local) };
}

/** None with a key of small order: nobody can be asked who anybody could be. */
function keyOf(secret: Secret, ends: Ends): KeyObject | null {
  try {
    return probeKey(secret, ends);
  } catch {
    return null;
  }
}
