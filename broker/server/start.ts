// Runs a broker: nats-server as a child and the membership agent, over one data directory.

import { createServer } from 'node:net';
import { codeOf, messageOf } from '#lib/errors';
import { runCommand } from '#lib/linux';
import type { Run } from '#lib/linux';
import type { Log } from '#lib/log';
import { Agent } from '../agent/agent.ts';
import { serveControl } from '../agent/control.ts';
import type { RevokeCommand } from '../agent/control.ts';
import { Roster } from '../agent/roster.ts';
import { NatsChild } from './child.ts';
import {
  memberAccountJwt,
  natsPathsOf,
  ownAccounts,
  writeAccounts,
  writeConfiguration,
} from './configure.ts';
import type { Setting } from './configure.ts';
import {
  parseAccountKey,
  pathsOf,
  readDescription,
  readKeys,
  splitHost,
  urlsOf,
  writeDescription,
} from './data-directory.ts';
import type { Description, Paths } from './data-directory.ts';
import { lockDataDirectory } from './lock.ts';
import { checkConfiguration, checkProgram } from './program.ts';

export interface StartBrokerOptions {
  readonly dir: string;
  readonly log: Log;
  /** @default 'nats-server', from the PATH */
  readonly natsServer?: string;
  /** These three replace what creation wrote, for good. */
  readonly host?: string;
  readonly port?: number;
  readonly advertise?: readonly string[];
  /** Major and minor. The attack suite also runs on a server that the product refuses. @default 2.11 */
  readonly minimumVersion?: readonly [number, number];
  /** Milliseconds after which a nats-server that answers nobody is ended, and started again. @default 15000 */
  readonly hangMs?: number;
  readonly now?: () => Date;
  readonly run?: Run;
}

/** A running broker; disposing it ends the agent and nats-server. */
export interface Broker extends AsyncDisposable {
  readonly clusterset: string;
  readonly urls: readonly string[];
  /** Of nats-server. */
  readonly version: string;
  readonly pid: number | undefined;
}

/**
 * Starts the broker of a data directory. Resolves when clusters can join.
 * @throws {BrokerRunningError} when another process runs it
 * @throws {Error} when there is no broker in the directory, the port is taken, or nats-server is missing or too old
 */
export async function startBroker(options: StartBrokerOptions): Promise<Broker> {
  const { dir, log, natsServer = 'nats-server', run = runCommand, now = () => new Date() } = options;
  const paths = pathsOf(dir);
  // Before the lock: a lock file in a directory without a broker would be litter.
  await readDescription(paths);
  await using stack = new AsyncDisposableStack();
  stack.use(await lockDataDirectory(dir));
  const described = await describe(paths, options);
  const description = { ...described, host: await listenable(described.host) };
  const version = await checkProgram(run, natsServer, options.minimumVersion);
  const keys = await readKeys(paths, description.root);
  const roster = await Roster.load(paths, description, keys);
  const setting: Setting = { paths, description, keys, now };
  const hang = options.hangMs === undefined ? {} : { hangMs: options.hangMs };
  const server = stack.use(await startServer(setting, roster, { log, program: natsServer, run, ...hang }));
  const agent = stack.use(
    await Agent.start({ paths, description, keys, roster, server: localUrl(description), log, now }),
  );
  server.guard(() => agent.silence);
  stack.use(await serveControl(paths.control, (command) => revoke(agent, command)));
  log.info({ clusterset: description.clusterset, urls: urlsOf(description), version }, 'The broker is ready');
  const owned = stack.move();
  return {
    clusterset: description.clusterset,
    urls: urlsOf(description),
    version,
    get pid() {
      return server.pid;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface ServerOptions {
  readonly program: string;
  readonly run: Run;
  readonly log: Log;
  readonly hangMs?: number;
}

async function startServer(
  setting: Setting,
  roster: Roster,
  { program, run, ...options }: ServerOptions,
): Promise<NatsChild> {
  const { paths, description, keys, now } = setting;
  const nats = natsPathsOf(paths);
  await writeConfiguration(setting);
  await checkConfiguration(run, program, nats.configuration);
  const prepare = async (): Promise<void> => {
    const members = [...roster.ledger.members.values()];
    const accounts = members.map(
      (member) => [parseAccountKey(member.account), memberAccountJwt(keys, member)] as const,
    );
    await writeAccounts(paths, new Map([...ownAccounts(keys, now()), ...accounts]));
    await refuseTakenPort(description);
  };
  const files = { configuration: nats.configuration, pidFile: nats.pid };
  return NatsChild.start({ ...options, ...files, program, prepare });
}

/** Takes over what the caller wants otherwise. */
async function describe(paths: Paths, options: StartBrokerOptions): Promise<Description> {
  const found = await readDescription(paths);
  const { host = found.host, port = found.port, advertise = found.advertise } = options;
  advertise.forEach(splitHost);
  const wanted = { ...found, host, port, advertise };
  if (JSON.stringify(wanted) !== JSON.stringify(found)) await writeDescription(paths, wanted);
  return wanted;
}

async function revoke(agent: Agent, { cluster, reason, revocation }: RevokeCommand): Promise<void> {
  const signed = revocation === undefined ? undefined : Buffer.from(revocation, 'base64');
  await agent.admissions.revoke(cluster, reason, signed);
}

/** The agent goes in by the loopback, unless the server listens on one address only. */
function localUrl({ host, port }: Description): string {
  const local = host === '::' || host === '0.0.0.0' ? '127.0.0.1' : host;
  return `tls://${local.includes(':') ? `[${local}]` : local}:${port}`;
}

/** "Every address" means the IPv4 ones on a host without IPv6. */
async function listenable(host: string): Promise<string> {
  if (host !== '::') return host;
  const code = await listenOnce(host, 0).then(() => undefined, codeOf);
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' ? '0.0.0.0' : host;
}

/** nats-server's own words for it are hard to find in its log. */
async function refuseTakenPort({ host, port }: Description): Promise<void> {
  try {
    await listenOnce(host, port);
  } catch (cause) {
    const reasons: Record<string, string> = {
      EADDRINUSE: 'it is in use by another program',
      EACCES: 'ports below 1024 need root',
      EADDRNOTAVAIL: `"${host}" is not an address of this host`,
      EAFNOSUPPORT: `this host has no addresses like "${host}"`,
    };
    const reason = reasons[codeOf(cause) ?? ''] ?? messageOf(cause);
    const next = 'Choose another with --port or --listen';
    throw new Error(`Cannot listen on port ${port}: ${reason}. ${next}`, { cause });
  }
}

function listenOnce(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  });
}
