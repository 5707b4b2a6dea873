// The membership agent: admits, certifies, revokes, keeps the directory, and says once a second that it is there.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/nats-core';
import { Sparing } from '#lib/log';
import type { Log } from '#lib/log';
import type { NkeyPublic } from '#lib/nats';
import type { ClusterId } from '#lib/names';
import { signBeacon } from '../records/beacon.ts';
import { agentUser } from '../server/accounts.ts';
import type { Description, Keys, Paths } from '../server/data-directory.ts';
import { parseAccountKey } from '../server/data-directory.ts';
import { memberAccountJwt } from '../server/configure.ts';
import { BEACON } from '../server/subjects.ts';
import { Admissions } from './admissions.ts';
import { connectUser, mintUser } from './connection.ts';
import { Directory } from './directory.ts';
import { serveRequests } from './requests.ts';
import { Resolver } from './resolver.ts';
import type { Roster } from './roster.ts';
import { Stream } from './stream.ts';
import type { StreamInfo } from './stream.ts';
import { Traffic } from './traffic.ts';

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
/** Beacons between two looks at how much each member sends and reads. */
const WEIGH_EVERY = 10;
/** Beacons between two collections of old records: about an hour. */
const COLLECT_EVERY = 3_600;
const CONNECT_TIMEOUT_MS = 5_000;
const FIRST_TRIES = 100;
const TRY_AGAIN_MS = 100;
const REPLICAS = 1;
const FAREWELL_MS = 100;

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
  readonly #traffic: Traffic;
  readonly #sparing = new Sparing({ now: () => performance.now() });
  readonly #stopping = new AbortController();
  #session: Session | undefined;
  #assertAfter = 0;
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
    this.#traffic = new Traffic(system);
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
    await using unfinished = new AsyncDisposableStack();
    const close = (connection: NatsConnection): Promise<void> => connection.close();
    const agent = new Agent(
      options,
      unfinished.adopt(await dial(keys.broker, 'agent'), close),
      unfinished.adopt(await dial(keys.system, 'agent-system'), close),
    );
    await agent.#firstPass();
    // From here on they are the agent's own.
    unfinished.move();
    serveRequests({ ...options, connection: agent.#broker, admissions: agent.admissions });
    void agent.#followConnection();
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

  async #followConnection(): Promise<void> {
    for await (const status of this.#broker.status()) {
      if (status.type === 'reconnect') {
        this.#assertAfter = 0;
        this.#lostAt = undefined;
      } else if (status.type === 'disconnect') this.#lostAt ??= performance.now();
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
    // The server has the answer, and needs a moment to pass it on before it cuts the connection.
    await sleep(FAREWELL_MS);
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
        if (count % WEIGH_EVERY === 0) await this.#weigh();
        if (!answers) log.info('The stream answers again');
        answers = true;
      } catch (error) {
        if (answers && !signal.aborted) log.warn({ error }, 'The stream does not answer');
        answers = false;
      }
      await sleep(BEACON_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #weigh(): Promise<void> {
    const { roster, log } = this.#options;
    for (const { account, ...rates } of await this.#traffic.weigh()) {
      const cluster = roster.ledger.memberOf(account)?.cluster;
      const line = cluster === undefined ? undefined : this.#sparing.ask(cluster);
      if (line !== undefined)
        log.warn({ cluster, ...rates, ...line }, 'A member floods the broker; it can be revoked');
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
