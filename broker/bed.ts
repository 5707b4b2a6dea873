// A throw-away broker with members, for tests: real nats-server, free loopback port, temporary directory.

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import { openLog } from '#lib/log';
import type { Log } from '#lib/log';
import { Nkey, parseCreds } from '#lib/nats';
import { issueToken } from './agent/manage.ts';
import { connectUser, mintUser } from './agent/connection.ts';
import { joinClusterset } from './join/join.ts';
import { loadMembership } from './member/membership.ts';
import type { OpenMembership } from './member/membership.ts';
import { agentUser } from './server/accounts.ts';
import { createBroker } from './server/create.ts';
import { pathsOf, readDescription, readKeys } from './server/data-directory.ts';
import type { Keys } from './server/data-directory.ts';
import { startBroker } from './server/start.ts';
import type { Broker, StartBrokerOptions } from './server/start.ts';

export interface BedOptions extends Partial<
  Pick<StartBrokerOptions, 'natsServer' | 'minimumVersion' | 'now' | 'hangMs'>
> {
  readonly log?: Log;
}

export interface ConnectHow {
  readonly inboxPrefix?: string;
  /** Reconnect for ever. */
  readonly forever?: boolean;
}

/** One broker and what tests do with it. */
export class Bed implements AsyncDisposable {
  readonly root: string;
  /** The broker's data directory. */
  readonly dir: string;
  readonly port: number;
  readonly #options: BedOptions;
  readonly #open = new Set<NatsConnection>();
  #broker: Broker | undefined;

  private constructor(root: string, port: number, options: BedOptions) {
    this.root = root;
    this.dir = join(root, 'broker');
    this.port = port;
    this.#options = options;
  }

  /** Creates a broker and starts it. */
  static async open(options: BedOptions = {}): Promise<Bed> {
    const bed = new Bed(await mkdtemp(join(tmpdir(), 'isthmus-bed-')), await freePort(), options);
    await createBroker({ dir: bed.dir, advertise: ['127.0.0.1'], host: '127.0.0.1', port: bed.port });
    await bed.start();
    return bed;
  }

  get broker(): Broker {
    if (this.#broker === undefined) throw new Error('Cannot use the broker: it is stopped');
    return this.#broker;
  }

  async start(): Promise<void> {
    const { log = silent(), ...options } = this.#options;
    this.#broker = await startBroker({ dir: this.dir, log, ...options });
  }

  async stop(): Promise<void> {
    await this.#broker?.[Symbol.asyncDispose]();
    this.#broker = undefined;
  }

  secretsOf(cluster: string): string {
    return join(this.root, `secrets-${cluster}`);
  }

  async token(cluster: string, podCidrs: readonly string[], ttlSeconds = 60): Promise<string> {
    return (await issueToken({ dir: this.dir, cluster, podCidrs, ttlSeconds })).token;
  }

  /** Joins as a user would, and gives what the cluster then has on disk. */
  async join(cluster: string, podCidrs: readonly string[]): Promise<OpenMembership> {
    const secretsDir = this.secretsOf(cluster);
    await joinClusterset({ token: await this.token(cluster, podCidrs), secretsDir, hostNetworks: [] });
    return loadMembership(secretsDir);
  }

  async keys(): Promise<Keys> {
    const paths = pathsOf(this.dir);
    return readKeys(paths, (await readDescription(paths)).root);
  }

  /** A connection with a member's credentials, or with any JWT and seed. */
  async connect(
    jwt: string,
    seed: string,
    { inboxPrefix, forever = false }: ConnectHow = {},
  ): Promise<NatsConnection> {
    const { tls } = await this.keys();
    const connection = await connectUser({
      servers: [`tls://127.0.0.1:${this.port}`],
      ca: tls.certificate,
      name: 'test',
      jwt,
      user: Nkey.parse(seed),
      forever,
      timeout: 5_000,
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    });
    this.#open.add(connection);
    return connection;
  }

  async connectMember({ credentials }: OpenMembership, how: ConnectHow = {}): Promise<NatsConnection> {
    const { jwt, user } = parseCreds(credentials);
    return this.connect(jwt, user.reveal(), how);
  }

  /** A user of the broker's own account that may do everything there. */
  async connectBroker(): Promise<NatsConnection> {
    const { broker } = await this.keys();
    const { user, jwt } = mintUser(broker, 'test', agentUser(), { issuedAt: new Date() });
    return this.connect(jwt, user.reveal());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#open) await connection.close();
    await this.stop();
    await rm(this.root, { recursive: true, force: true });
  }
}

/** A TCP port that nobody listened on a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

function silent(): Log {
  return openLog({ component: 'broker', destination: { write: () => undefined } });
}
