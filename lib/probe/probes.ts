// The probes of one host: what it asks, what it is answered, and what it answers.

import { getRandomValues } from 'node:crypto';
import { isIP } from 'node:net';
import { PROBE_PORT } from '#lib/constants';
import { Knock } from './knock.ts';
import { ROOMY_BYTES, SILENT, SMALL_BYTES, answerTo, echoOf, encodeProbe, parseProbe } from './message.ts';
import type { Fault, Flags, Probe } from './message.ts';
import { Peer } from './peer.ts';
import type { ProbePeer, Way } from './peer.ts';
import { Questions } from './questions.ts';
import type { Asked, Question } from './questions.ts';
import { isSame, sealIn } from './seal.ts';
import { ProbeSockets } from './sockets.ts';
import type { Arrival } from './sockets.ts';

/** An answer that belongs to a question of ours, for the first time, sealed by whom it was asked. */
export interface Answer<Id> {
  readonly id: Id;
  readonly question: Question;
  readonly rttMs: number;
  /** What the far end tells of itself; absent in answers to transit asks. */
  readonly flags?: Flags;
  /** Indexes of the clusters that a gateway of ours reaches; absent where it did not say. */
  readonly reach?: ReadonlySet<number>;
}

/** What this host tells one far end of itself. */
export interface Speech extends Flags {
  /** Told on links only. */
  readonly reach?: ReadonlySet<number>;
}

export interface ProbesOptions<Id> {
  readonly onAnswer: (answer: Answer<Id>) => void;
  /**
   * A far end has asked. What it tells of itself is said now, not repeated by somebody; on links nobody can know. Has it news
   * that only answers tell? Not on tunnels, where asks tell everything.
   */
  readonly onTold: (id: Id, flags: Flags, hasNews: boolean) => void;
  /** The far kernel answers in its daemon's place; heard only while {@link Probes.attend} has it so. */
  readonly onRefused: (id: Id) => void;
  readonly speak: (id: Id) => Speech;
  /** Milliseconds on a monotonic clock. @default performance.now */
  readonly now?: () => number;
  /** 64 bits that nobody can guess. @default of node:crypto */
  readonly nonce?: () => bigint;
}

/** Why a datagram changed nothing. */
export type Ignored =
  /** No probe, or cut off or stretched; of another version of ours. */
  | Fault
  /** From an address or port that nobody here exchanges probes with. */
  | 'stranger'
  /** Not sealed by the far end that it claims to be from. */
  | 'forged'
  /** An answer without a question: too late, a second time, or invented. */
  | 'unasked'
  /** An ask that was said before: answered, and its flags not believed. */
  | 'stale';

/** Paths that may be knocked at at once: the gateways of four clusters whose daemons are stopped. */
const MOST_KNOCKS = 256;
/** Nonces that are drawn together. */
const NONCES = 256;
/** Bytes of IP and UDP headers around a datagram. */
const HEADERS = { 4: 28, 6: 48 } as const;

/** Holds nothing before {@link Probes.hold}, ends with its disposal. */
export class Probes<Id> implements Disposable {
  readonly #options: Required<ProbesOptions<Id>>;
  readonly #peers = new Map<Id, Peer<Id>>();
  readonly #byEnds = new Map<string, { readonly peer: Peer<Id>; readonly way: Way }>();
  readonly #questions = new Questions<Id>();
  readonly #knocks = new Map<Id, Knock>();
  readonly #sockets = new ProbeSockets((arrival) => this.#receive(arrival));
  readonly #ignored = new Map<Ignored, number>();
  #echoes: ReadonlySet<string> = new Set();
  #addresses: ReadonlySet<string> = new Set();

  constructor({ now = () => performance.now(), nonce = nonces(), ...options }: ProbesOptions<Id>) {
    this.#options = { now, nonce, ...options };
  }

  /**
   * Exchanges probes with exactly these, and echoes transit probes on these own addresses. What is known of a far end
   * that is still the same is kept.
   */
  hold(peers: readonly ProbePeer<Id>[], echoes: ReadonlySet<string> = new Set()): void {
    const wanted = new Map(peers.map((peer) => [peer.id, peer]));
    for (const [id, peer] of this.#peers) {
      const still = wanted.get(id);
      if (still !== undefined && peer.is(still)) continue;
      this.attend(id, false);
      this.#peers.delete(id);
    }
    for (const each of peers) if (!this.#peers.has(each.id)) this.#peers.set(each.id, new Peer(each));
    this.#byEnds.clear();
    for (const peer of this.#peers.values()) {
      for (const way of peer.ways) this.#byEnds.set(`${way.local} ${way.remote}`, { peer, way });
    }
    this.#echoes = echoes;
    this.#addresses = new Set([...peers.flatMap(({ ends }) => ends.map(({ local }) => local)), ...echoes]);
    this.tend();
  }

  /** Tries again to open what could not be opened: to be called several times a second. */
  tend(): void {
    this.#sockets.sync(this.#addresses, this.#options.now());
  }

  /**
   * False: there is nobody of that name, of that family, or with a usable key. What the host refuses to send is asked all
   * the same, and not answered.
   */
  ask(id: Id, question: Question): boolean {
    const peer = this.#peers.get(id);
    const way = peer?.wayOf(question);
    if (peer === undefined || way === undefined) return false;
    const nonce = this.#options.nonce();
    const probe = this.#probe(peer, question, { nonce, local: way.local });
    const bytes = encodeProbe(probe);
    peer.seal(bytes, way.outward);
    const { sequence, length } = probe;
    const isTransit = question.kind === 'transit';
    const seal = isTransit ? Buffer.from(sealIn(bytes)) : undefined;
    this.#questions.add(nonce, { peer, question, sequence, length, way, seal, at: this.#options.now() });
    this.#sockets.send(way.local, way.remote, bytes);
    if (!isTransit) this.#knocks.get(id)?.knock();
    return true;
  }

  /**
   * Whether each ask of this path also knocks at the far kernel, which answers where a daemon is stopped, hung or busy.
   * It ends with the next answer.
   */
  attend(id: Id, isWanted: boolean): void {
    const knock = this.#knocks.get(id);
    const ends = this.#peers.get(id)?.ways[0];
    if (!isWanted) {
      knock?.[Symbol.dispose]();
      this.#knocks.delete(id);
    } else if (knock === undefined && ends !== undefined && this.#knocks.size < MOST_KNOCKS) {
      const onRefused = (): void => {
        if (this.#knocks.has(id)) this.#options.onRefused(id);
      };
      this.#knocks.set(id, new Knock({ ends, onRefused }));
    }
  }

  /** Own addresses that probes cannot be sent from, and why. */
  refused(): ReadonlyMap<string, string> {
    return this.#sockets.refused();
  }

  /** Datagrams that changed nothing, by reason, since the beginning. */
  ignored(): ReadonlyMap<Ignored, number> {
    return this.#ignored;
  }

  [Symbol.dispose](): void {
    for (const id of this.#knocks.keys()) this.attend(id, false);
    this.#sockets.close();
  }

  #probe(
    peer: Peer<Id>,
    question: Question,
    { nonce, local }: { readonly nonce: bigint; readonly local: string },
  ): Probe {
    const least = peer.kind === 'link' ? ROOMY_BYTES : SMALL_BYTES;
    const size = question.kind === 'full' ? question.size : 0;
    const length = Math.max(least, size - HEADERS[isIP(local) === 4 ? 4 : 6]);
    const ask = { way: 'ask', nonce, length } as const;
    if (question.kind === 'transit') {
      return { ...ask, kind: 'transit', flags: SILENT, sequence: peer.asksBehind(), heard: 0n };
    }
    const flags = this.#options.speak(peer.id);
    const probe = { ...ask, kind: peer.kind, flags, sequence: peer.asks(nonce), heard: peer.heard };
    return question.kind === 'small' && question.isNews === true ? { ...probe, isNews: true } : probe;
  }

  #receive(arrival: Arrival): void {
    const probe = parseProbe(arrival.bytes);
    const ignored = typeof probe === 'string' ? probe : this.#take(probe, arrival);
    if (ignored !== undefined) this.#ignored.set(ignored, (this.#ignored.get(ignored) ?? 0) + 1);
  }

  #take(probe: Probe, arrival: Arrival): Ignored | undefined {
    if (arrival.port !== PROBE_PORT) return 'stranger';
    if (probe.way === 'answer') return this.#answer(probe, arrival);
    if (probe.kind !== 'transit') return this.#reply(probe, arrival);
    if (!this.#echoes.has(arrival.local)) return 'stranger';
    arrival.reply(echoOf(arrival.bytes));
    return undefined;
  }

  #answer(probe: Probe, { bytes, local, from }: Arrival): Ignored | undefined {
    const asked = this.#questions.get(probe.nonce);
    if (asked === undefined || !isAnswer(asked, probe, { local, from })) return 'unasked';
    const { peer, question, at } = asked;
    if (this.#peers.get(peer.id) !== peer) return 'unasked';
    if (!isProven(asked, bytes)) return 'forged';
    this.#questions.close(probe.nonce);
    if (question.kind !== 'transit') this.attend(peer.id, false);
    const answer = { id: peer.id, question, rttMs: this.#options.now() - at };
    if (question.kind === 'transit') this.#options.onAnswer(answer);
    else {
      const { flags, reach } = probe;
      this.#options.onAnswer({ ...answer, flags, ...(reach === undefined ? {} : { reach }) });
    }
    return undefined;
  }

  #reply(probe: Probe, { bytes, local, from, reply }: Arrival): Ignored | undefined {
    const { peer, way } = this.#byEnds.get(`${local} ${from}`) ?? {};
    if (peer === undefined || way === undefined || peer.kind !== probe.kind) return 'stranger';
    if (!peer.isFrom(bytes, way.inward)) return 'forged';
    const freshness = peer.hears(probe, this.#options.now());
    const { reach, ...flags } = this.#options.speak(peer.id);
    const answer = encodeProbe(answerTo(probe, flags, reach));
    peer.seal(answer, way.outward);
    reply(answer);
    const isLink = peer.kind === 'link';
    if (isLink || freshness === 'fresh')
      this.#options.onTold(peer.id, probe.flags, isLink && probe.isNews === true);
    return freshness === 'stale' ? 'stale' : undefined;
  }
}

function isAnswer<Id>(
  { peer, question, sequence, length, way }: Asked<Id>,
  probe: Probe,
  came: { readonly local: string; readonly from: string },
): boolean {
  const kind = question.kind === 'transit' ? 'transit' : peer.kind;
  const isIts = probe.kind === kind && probe.sequence === sequence && probe.length === length;
  return isIts && came.local === way.local && came.from === way.remote;
}

/** A worker returns the seal of the ask, which it cannot make; a gateway makes its own. */
function isProven<Id>({ peer, way, seal }: Asked<Id>, bytes: Buffer): boolean {
  return seal === undefined ? peer.isFrom(bytes, way.inward) : isSame(seal, sealIn(bytes));
}

/** Many at once from the system: each call of it costs as much as a probe's whole message. */
function nonces(): () => bigint {
  const pool = new BigUint64Array(NONCES);
  let left = 0;
  return () => {
    if (left === 0) left = getRandomValues(pool).length;
    left -= 1;
    return pool[left] ?? 0n;
  };
}
