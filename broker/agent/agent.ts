// The membership agent: admits, certifies, revokes, keeps the directory, and says once a second that it is there.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { Sparing } from '#lib/log';
import type { Log } from '#lib/log';
import type { NkeyPublic } from '#lib/nats';
import type { ClusterId } from '#lib/names';
import { encodeAnswer } from '../join/message.ts';
import { signBeacon } from '../records/beacon.ts';
import { agentUser } from '../server/accounts.ts';
import type { Description, Keys, Paths } from '../server/data-directory.ts';
import { parseAccountKey } from '../server/data-directory.ts';
import { memberAccountJwt } from '../server/configure.ts';
import { BEACON, HOT, JOIN } from '../server/subjects.ts';
import { isAccount } from '../trust/header.ts';
import type { Account } from '../trust/header.ts';
import { refuse, Refused } from '../trust/refusal.ts';
import { isRecord } from '../trust/record.ts';
import { Admissions } from './admissions.ts';
import { Budget } from './budget.ts';
import { connectUser, mintUser } from './connection.ts';
import { Directory } from './directory.ts';
import { hotSubject } from './hot.ts';
import { Resolver } from './resolver.ts';
import type { Roster } from './roster.ts';
import { Stream } from './stream.ts';
import type { StreamInfo } from './stream.ts';

export interface AgentOptions {
  readonly paths: Paths;
  readonly description: Description;
  readonly keys: Keys;
  readonly roster: Roster;
  /** Where the agent itself reaches the server. */
  readonly server: string;
  readonly log: Log;
  readonly now: () => Date;
}

const BEACON_MS = 1_000;
/** The directory is compared with the disk this often, besides at every connect. */
const ASSERT_MS = 60_000;
/** Beacons between two collections of old records: about an hour. */
const COLLECT_EVERY = 3_600;
const CONNECT_TIMEOUT_MS = 5_000;
const FIRST_TRIES = 100;
const TRY_AGAIN_MS = 100;
const REPLICAS = 1;
/** Messages that one member may send in one second, or one who joins: a fan-out to a thousand members costs the server 15 ms of CPU. */
const PER_SECOND = 16;
/** Joins under way or waiting for their turn; who is one too many asks again. */
const MAX_JOINS = 256;

/** The stream as this agent has known it since it started, or since the stream became another. */
interface Session {
  readonly id: string;
  readonly created: string;
  readonly sessionHead: number;
  readonly head: number;
}

export class Agent implements AsyncDisposable {
  readonly admissions: Admissions;
  readonly #options: AgentOptions;
  readonly #broker: NatsConnection;
  readonly #system: NatsConnection;
  readonly #stream: Stream;
  readonly #directory: Directory;
  readonly #resolver: Resolver;
  readonly #budget = new Budget(PER_SECOND);
  readonly #sparing = new Sparing({ now: () => performance.now() });
  readonly #stopping = new AbortController();
  #session: Session | undefined;
  #assertAfter = 0;
  #joins = 0;
  #lostAt: number | undefined;
  /** Accounts whose end is on disk, and that the server may not know of yet. */
  readonly #ending = new Set<NkeyPublic>();
  #beating: Promise<void> = Promise.resolve();

  private constructor(options: AgentOptions, broker: NatsConnection, system: NatsConnection) {
    const { keys, roster, log, now } = options;
    this.#options = options;
    this.#broker = broker;
    this.#system = system;
    this.#stream = new Stream(broker);
    this.#resolver = new Resolver(system, keys);
    this.#directory = new Directory({ connection: broker, stream: this.#stream, roster, keys, log, now });
    const effects = {
      admitted: (cluster: ClusterId, jwt: string): Promise<void> => this.#admitted(cluster, jwt),
      ended: (cluster: ClusterId, account: NkeyPublic, told?: () => void): Promise<void> =>
        this.#ended(cluster, account, told),
    };
    this.admissions = new Admissions({ ...options, effects });
  }

  /** Resolves when joins are served and the directory in the stream says what our disk says. */
  static async start(options: AgentOptions): Promise<Agent> {
    const { keys } = options;
    const dial = async (account: Keys['broker'], name: string): Promise<NatsConnection> => {
      const { user, jwt } = mintUser(account, name, agentUser(), { issuedAt: options.now() });
      const ca = keys.tls.certificate;
      const servers = [options.server];
      return connectUser({ servers, ca, name, jwt, user, forever: true, timeout: CONNECT_TIMEOUT_MS });
    };
    const agent = new Agent(
      options,
      await dial(keys.broker, 'agent'),
      await dial(keys.system, 'agent-system'),
    );
    await agent.#firstPass();
    agent.#serve();
    agent.#beating = agent.#beat();
    return agent;
  }

  /** Milliseconds since the connection was lost; 0 while there is one. A server that hangs loses it within three seconds. */
  get silence(): number {
    return this.#lostAt === undefined ? 0 : performance.now() - this.#lostAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#beating;
    await Promise.all([this.#broker.close(), this.#system.close()]);
  }

  /** JetStream answers a moment after the server does. */
  async #firstPass(): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#look();
        await this.#assert();
        return;
      } catch (error) {
        if (tries >= FIRST_TRIES) throw error;
        await sleep(TRY_AGAIN_MS);
      }
    }
  }

  #serve(): void {
    this.#broker.subscribe(`${JOIN}.*.*`, { callback: (_, message) => void this.#onJoin(message) });
    this.#broker.subscribe(`${HOT}.*`, { callback: (_, message) => void this.#onHot(message) });
    void this.#followConnection();
  }

  async #followConnection(): Promise<void> {
    for await (const status of this.#broker.status()) {
      if (status.type === 'reconnect') {
        this.#assertAfter = 0;
        this.#lostAt = undefined;
      } else if (status.type === 'disconnect') this.#lostAt ??= performance.now();
    }
  }

  async #onJoin(message: Msg): Promise<void> {
    const { log, now } = this.#options;
    const token = message.subject.split('.').at(-1) ?? '';
    if (this.#joins >= MAX_JOINS || !this.#budget.take(token, now())) return;
    this.#joins += 1;
    try {
      message.respond(encodeAnswer(await this.admissions.join(message.data, token)));
    } catch (error) {
      // No answer: the joiner asks again, and finds what was done so far.
      log.error({ error }, 'A join could not be finished');
    } finally {
      this.#joins -= 1;
    }
  }

  async #onHot(message: Msg): Promise<void> {
    const { log, now } = this.#options;
    const account = message.subject.split('.').at(-1) ?? '';
    if (!isAccount(account)) return;
    try {
      if (!this.#budget.take(account, now())) {
        refuse('oversized', `it sends more than ${PER_SECOND} messages in a second`);
      }
      await this.#takeHot(account, message);
    } catch (error) {
      const code = error instanceof Refused ? error.code : undefined;
      const line = this.#sparing.ask(`${account} ${code}`);
      if (line !== undefined && error instanceof Refused)
        log.warn({ account, code, ...line }, `Refused a message: ${error.message}`);
      else if (line !== undefined) log.error({ error, account, ...line }, 'A message could not be handled');
      if (code !== 'oversized') message.respond(JSON.stringify({ ok: false }));
    }
  }

  /** A record to pass on, the member's own departure, or something of the directory that our disk has forgotten. */
  async #takeHot(account: Account, message: Msg): Promise<void> {
    const { roster } = this.#options;
    const { data } = message;
    if (!isRecord(data)) {
      await this.admissions.take(data, account, () => message.respond(JSON.stringify({ ok: true })));
    } else if (roster.ledger.memberOf(account) !== undefined) {
      this.#broker.publish(hotSubject(account, data), data);
    }
  }

  async #admitted(cluster: ClusterId, accountJwt: string): Promise<void> {
    await this.#resolver.push(accountJwt);
    await this.#directory.publish(cluster);
  }

  /** Peers drop its tunnels while the server drops its connection; who leaves is answered in between. */
  async #ended(cluster: ClusterId, account: NkeyPublic, told?: () => void): Promise<void> {
    this.#ending.add(account);
    const remove = (): Promise<void> => this.#cutOff(account);
    if (told === undefined) {
      await Promise.all([this.#directory.publish(cluster), remove()]);
      return;
    }
    await this.#directory.publish(cluster);
    told();
    await this.#broker.flush();
    await remove();
  }

  async #cutOff(account: NkeyPublic): Promise<void> {
    await this.#resolver.remove([account], this.#options.now());
    this.#ending.delete(account);
  }

  async #beat(): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#stopping;
    let answers = true;
    for (let count = 1; !signal.aborted; count += 1) {
      try {
        const session = await this.#look();
        this.#broker.publish(BEACON, this.#signBeacon(session));
        if (performance.now() >= this.#assertAfter) await this.#assert();
        for (const account of this.#ending) await this.#cutOff(account);
        if (count % COLLECT_EVERY === 1) await this.#directory.collect();
        if (!answers) log.info('The stream answers again');
        answers = true;
      } catch (error) {
        if (answers && !signal.aborted) log.warn({ error }, 'The stream does not answer');
        answers = false;
      }
      await sleep(BEACON_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #signBeacon({ id, created, sessionHead, head }: Session): Uint8Array {
    const { keys, now } = this.#options;
    const directory = this.#directory.digest;
    return signBeacon(keys.authority, {
      time: now().getTime(),
      created,
      session: id,
      sessionHead,
      head,
      directory,
    });
  }

  /** Reads how far the stream is; another stream, or one that went back, begins another session. */
  async #look(): Promise<Session> {
    if (this.#session === undefined) await this.#stream.ensure(REPLICAS);
    const info = await this.#stream.info().catch(() => this.#madeAnew());
    const before = this.#session;
    const goesOn = before !== undefined && before.created === info.created && before.head <= info.head;
    if (!goesOn) this.#assertAfter = 0;
    this.#session = goesOn
      ? { ...before, head: info.head }
      : {
          id: randomBytes(8).toString('hex'),
          created: info.created,
          sessionHead: info.head,
          head: info.head,
        };
    return this.#session;
  }

  async #madeAnew(): Promise<StreamInfo> {
    if (await this.#stream.ensure(REPLICAS)) this.#options.log.warn('The stream was gone and is made anew');
    return this.#stream.info();
  }

  /** Stream and server follow our disk. */
  async #assert(): Promise<void> {
    const { keys, roster, now } = this.#options;
    this.#assertAfter = performance.now() + ASSERT_MS;
    const adopted = await this.#directory.assert();
    for (const cluster of adopted) {
      const member = roster.ledger.members.get(cluster);
      const end = roster.ledger.endsOf(cluster).at(-1);
      if (member !== undefined) await this.#resolver.push(memberAccountJwt(keys, member));
      else if (end !== undefined)
        await this.#resolver.remove([parseAccountKey(end.certificate.account)], now());
    }
  }
}
