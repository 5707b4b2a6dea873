// `clusterctl leave`: the clusterset is told, then everything of ours goes from this host.

import { access } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { leaveClusterset } from '#broker';
import { HostLockedError, lockHost, removeHost } from '#host';
import { codeOf } from '#lib/errors';
import { SiteReader, writeClusterset } from '#site';
import { confirm } from './confirm.ts';
import type { Context } from './context.ts';
import { CliError, EXIT } from './exit.ts';
import { startProgress } from './progress.ts';
import type { Progress } from './progress.ts';

export interface LeaveOptions {
  readonly site: string;
  readonly secrets: string;
  readonly state: string;
  readonly hostOnly?: boolean;
  readonly force?: boolean;
  readonly yes?: boolean;
}

/** A gateway's daemon learns that its cluster has left within milliseconds, and removes what it made. */
const DAEMON_MS = 10_000;

export async function leave(context: Context, options: LeaveOptions): Promise<void> {
  const { terminal, run } = context;
  const progress = startProgress(context);
  const isAlone = options.hostOnly === true || !(await isMember(options.secrets));
  if (isAlone) await confirmHost(context, options);
  else await leaveAsCluster(context, options, progress);
  await progress('Removing everything from this host', async () => {
    await using _ = await lockOf(options.state, context.signal);
    await removeHost(run, options.state);
  });
  terminal.say('Removed everything of Isthmus from this host');
}

/** On a worker as well, which has no membership, and where a departure was cut off after the broker knew of it. */
async function confirmHost(context: Context, { secrets, hostOnly, yes }: LeaveOptions): Promise<void> {
  if (hostOnly !== true) {
    context.terminal.say(`There is no membership in ${secrets}: only this host is cleaned`);
  }
  const consequence = 'Pods of other clusters will not be reached from this host any more';
  await confirm(context, 'remove Isthmus from this host', { yes: yes === true, consequence });
}

async function leaveAsCluster(context: Context, options: LeaveOptions, progress: Progress): Promise<void> {
  const { signal, now, terminal } = context;
  const consequence = 'Other clusters will not reach this one any more, and joining again needs a new token';
  await confirm(context, 'leave the clusterset', { ...options, consequence });
  const left = await progress('Telling the clusterset', () =>
    leaveClusterset({ secretsDir: options.secrets, force: options.force === true, signal, now }),
  );
  if (!left.told) {
    terminal.say(`The broker was not told. Have its operator run: clusterctl broker revoke ${left.cluster}`);
  }
  await markLeft(options.site);
}

async function isMember(secrets: string): Promise<boolean> {
  try {
    await access(path.join(secrets, 'membership.json'));
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Workers have no credentials: they learn it from the site directory, which a gateway writes unless none runs. What
 * site.yaml says does not matter any more.
 */
async function markLeft(directory: string): Promise<void> {
  const { clusterset } = await new SiteReader(directory).written();
  if (clusterset !== undefined) await writeClusterset(directory, { ...clusterset, left: true });
}

/** The host's lock; a daemon that holds it is given time to end. */
async function lockOf(state: string, signal: AbortSignal): Promise<AsyncDisposable> {
  const deadline = performance.now() + DAEMON_MS;
  for (;;) {
    try {
      return await lockHost(state, 'clusterctl leave');
    } catch (cause) {
      if (!(cause instanceof HostLockedError)) throw cause;
      if (performance.now() > deadline) {
        throw new CliError(
          EXIT.failed,
          `Cannot remove everything from this host: ${cause.holder} holds it. Stop that, then run: clusterctl leave --host-only`,
          { cause },
        );
      }
      await delay(100, undefined, { signal });
    }
  }
}
