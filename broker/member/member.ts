// A cluster's side of the broker: follows what others say, keeps it, and says its own.

import type { Log } from '#lib/log';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { GatewayRecord } from '../records/gateway.ts';
import { GATEWAY_SCHEMA } from '../records/gateway.ts';
import { gatewaySlot } from '../records/kinds.ts';
import { PUT } from '../server/subjects.ts';
import type { ClustersetView, GatewayView } from '../view.ts';
import type { Counters } from './counters.ts';
import { openCounters } from './counters.ts';
import { freshAuthenticator } from './credentials.ts';
import { Follower } from './follower.ts';
import type { Knowledge } from './knowledge.ts';
import { openKnowledge } from './knowledge.ts';
import { keepLinked } from './link.ts';
import type { OpenMembership } from './membership.ts';
import { loadMembership } from './membership.ts';
import { Pace } from './pace.ts';
import type { PublisherOptions, Saying } from './publisher.ts';
import { Publisher } from './publisher.ts';
import { Returner } from './returner.ts';
import { statusOf } from './report.ts';
import type { BrokerStatus } from './status.ts';
import { FOREVER, pause, Wake } from './wake.ts';

export interface MemberOptions {
  /** Secrets directory, with the membership. */
  readonly secrets: string;
  /** State directory of this host: last known good, counters. */
  readonly state: string;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** @default the system's clock */
  readonly now?: () => Date;
}

export interface Member extends AsyncDisposable {
  /** What is known now: from disk at first, then from the broker. */
  view(): ClustersetView;
  /** Yields the view as it is, and again whenever it has changed; slow readers see the newest only. Ends with the signal. */
  changes(): AsyncIterable<ClustersetView>;
  /**
   * States what this gateway is, from now on and against whatever the broker loses, until withdrawn. Resolves when the
   * statement is signed and its counter is on disk; the broker may be away.
   */
  publishGateway(gateway: GatewayView): Promise<void>;
  /** Ends the statement by a signed tombstone. Resolves when the broker has it, or after two seconds without. */
  withdraw(): Promise<void>;
  status(): BrokerStatus;
}

/** Milliseconds. */
const MARK = 1000;
const WITHDRAWAL = 2000;
/** Between two looks at what came too fast. */
const PATIENCE = 100;

/**
 * Opens a membership: with what is on disk at once, with what the broker says as soon as it answers.
 * @throws {Error} when there is no usable membership in the secrets directory
 */
export async function openMember(options: MemberOptions): Promise<Member> {
  const { secrets, state, log, now = () => new Date() } = options;
  const membership = await loadMembership(secrets);
  const knowledge = await openKnowledge({ membership, state, log });
  const path = join(state, 'counters.json');
  const counters = await openCounters(path, now, (error) => {
    log.warn({ path, error }, 'the counters file is damaged: own records begin a new epoch');
  });
  return new RunningMember({ ...options, now, membership, knowledge, counters });
}

interface Parts extends MemberOptions {
  readonly now: () => Date;
  readonly membership: OpenMembership;
  readonly knowledge: Knowledge;
  readonly counters: Counters;
}

class RunningMember implements Member {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #follower: Follower;
  readonly #publisher: Publisher;
  readonly #publishing: PublisherOptions;
  readonly #returner: Returner;
  readonly #pace = new Pace({ now: () => performance.now() });
  readonly #held = new Wake();
  /** Accounts that are listened to whatever they say: the broker's, and our own. */
  readonly #exempt: ReadonlySet<string>;
  readonly #bells = new Set<Wake>();
  readonly #running: Promise<unknown>;
  readonly #link: LinkState = { fault: 'no connection was made yet', server: undefined };
  #said: GatewayView | undefined;

  constructor(parts: Parts) {
    const { membership, knowledge, log } = parts;
    const { ledger } = knowledge;
    this.#parts = parts;
    this.#signal = AbortSignal.any([parts.signal, this.#stop.signal]);
    const onArrival = (subject: string, bytes: Uint8Array): void => this.#arrived(subject, bytes);
    const common = { ledger, log, signal: this.#signal };
    this.#exempt = new Set([membership.brokerAccount, membership.own.account]);
    this.#publishing = { ...parts, ...common, onSigned: (subject, bytes) => this.#learn(subject, bytes) };
    this.#publisher = new Publisher(this.#publishing);
    this.#follower = new Follower({
      ...common,
      root: membership.pinned,
      cursor: knowledge.cursor,
      onArrival,
      onInStep: (connection, directory) => {
        this.#publisher.inStep(connection);
        if (directory !== undefined) this.#returner.read(connection, directory);
      },
    });
    this.#returner = new Returner({ ...common, believed: () => knowledge.directory() });
    this.#running = Promise.all([
      this.#keepLinked(),
      this.#follower.run(),
      this.#publisher.run(),
      this.#returner.run(),
      this.#keepMarked(),
      this.#hearHeld(),
    ]);
  }

  view(): ClustersetView {
    return this.#parts.knowledge.picture.draw();
  }

  async *changes(): AsyncIterable<ClustersetView> {
    const bell = new Wake();
    this.#bells.add(bell);
    try {
      for (let seen: ClustersetView | undefined; !this.#signal.aborted;) {
        const view = this.view();
        if (view !== seen) yield view;
        seen = view;
        await bell.wait(FOREVER, this.#signal);
        // A page of the stream arrives in one turn: it is one change.
        await turn();
      }
    } finally {
      this.#bells.delete(bell);
    }
  }

  async publishGateway(gateway: GatewayView): Promise<void> {
    const { ordinal } = gateway;
    if (this.#said !== undefined && this.#said.ordinal !== ordinal) await this.withdraw();
    // First: whoever says it again in the meantime has to say this.
    this.#said = gateway;
    await this.#publisher.say({ ...slotOf(ordinal), payload: this.#payload(gateway) });
  }

  async withdraw(): Promise<void> {
    const said = this.#said;
    if (said === undefined) return;
    await this.#publisher.say(slotOf(said.ordinal));
    this.#said = undefined;
    const deadline = performance.now() + WITHDRAWAL;
    while (performance.now() < deadline && this.#publisher.own.some(({ acknowledged }) => !acknowledged)) {
      await pause(20, this.#signal);
    }
  }

  status(): BrokerStatus {
    const { membership, knowledge, now } = this.#parts;
    const own = this.#publisher.own;
    return statusOf({ membership, knowledge, follower: this.#follower, own, link: this.#link, now: now() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#parts.knowledge.mark(this.#follower.cursor);
    await this.#parts.knowledge[Symbol.asyncDispose]();
  }

  #arrived(subject: string, bytes: Uint8Array): void {
    const account = subject.split('.', 3)[2] ?? '';
    if (this.#exempt.has(account) || this.#pace.take(account, subject, bytes)) this.#learn(subject, bytes);
    else this.#held.ring();
  }

  /** What came too fast, when its turn comes. */
  async #hearHeld(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#held.wait(FOREVER, this.#signal);
      while (this.#pace.isHolding && !this.#signal.aborted) {
        for (const [subject, bytes] of this.#pace.due()) this.#learn(subject, bytes);
        await pause(PATIENCE, this.#signal);
      }
    }
  }

  #learn(subject: string, bytes: Uint8Array): void {
    const { account, cluster } = this.#parts.membership.own;
    const outcomes = this.#parts.knowledge.learn(subject, bytes);
    const accepted = outcomes.flatMap(({ verdict }) =>
      verdict.outcome === 'accepted' ? [verdict.entry] : [],
    );
    const own = `${PUT}.${account}.`;
    this.#returner.arrived(subject, bytes);
    if (subject.startsWith(own)) this.#publisher.arrived(subject.slice(own.length), bytes);
    if (accepted.length > 0) for (const bell of this.#bells) bell.ring();
    const isRenewed = accepted.some(
      (entry) => entry.sort === 'certificate' && entry.certificate.cluster === cluster,
    );
    if (isRenewed) void this.#sayAgain();
  }

  /** What a gateway states includes what its certificate gives: a renewed one may give more or less. */
  async #sayAgain(): Promise<void> {
    try {
      if (this.#said !== undefined) await this.publishGateway(this.#said);
    } catch (error) {
      this.#parts.log.error({ error }, 'what this gateway is could not be said again');
    }
  }

  #payload({ ordinal, keys, endpoint }: GatewayView): GatewayRecord {
    const { membership, knowledge } = this.#parts;
    const { podCidrs, serviceCidrs } = knowledge.ledger.members.get(membership.own.cluster) ?? membership.own;
    const reads = [1, GATEWAY_SCHEMA] as const;
    const cidrs = [...podCidrs, ...serviceCidrs];
    return { ordinal, keys, cidrs, reads, ...(endpoint === undefined ? {} : { endpoint }) };
  }

  #keepLinked(): Promise<void> {
    const { membership, secrets, log } = this.#parts;
    const authenticator = freshAuthenticator(membership, secrets, log);
    return keepLinked({ ...membership, authenticator }, this.#signal, {
      onUp: (connection) => {
        this.#link.fault = undefined;
        this.#link.server = connection.getServer();
        log.info({ server: this.#link.server }, 'connected to the broker');
        this.#follower.connected(connection);
      },
      onDown: (reason) => {
        if (this.#link.fault === undefined) log.warn({ reason }, 'the broker is not reachable');
        this.#link.fault = reason;
        this.#follower.disconnected();
      },
      onFault: (reason) => log.warn({ reason }, 'the broker refuses something'),
    });
  }

  /** Keeps on disk how far the stream was read. */
  async #keepMarked(): Promise<void> {
    let marked = JSON.stringify(this.#follower.cursor);
    while (!this.#signal.aborted) {
      await pause(MARK, this.#signal);
      const { cursor } = this.#follower;
      const now = JSON.stringify(cursor);
      if (now !== marked) this.#parts.knowledge.mark(cursor);
      marked = now;
    }
  }
}

/** How the connection stands. */
interface LinkState {
  /** Why there is none; undefined while there is one. */
  fault: string | undefined;
  server: string | undefined;
}

function slotOf(ordinal: number): Pick<Saying, 'slot' | 'kind' | 'schema'> {
  return { slot: gatewaySlot(ordinal), kind: 'gateway', schema: GATEWAY_SCHEMA };
}
