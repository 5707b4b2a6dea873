// `clusterctl broker token`, `members` and `revoke`.

import { readFile } from 'node:fs/promises';
import { issueToken, listMembers, revokeMember } from '#broker';
import type { Cidr } from '#lib/ip';
import type { ClusterId } from '#lib/names';
import { confirm } from './confirm.ts';
import type { Context } from './context.ts';
import { unreadable } from './exit.ts';
import type { Format } from './output-option.ts';
import { printRows } from './output.ts';
import { columnsOf, pick } from './rows.ts';

export interface TokenOptions {
  readonly data: string;
  readonly cluster: ClusterId;
  readonly podCidr: readonly Cidr[];
  readonly serviceCidr?: readonly Cidr[];
  /** Seconds. */
  readonly ttl: number;
}

export interface MembersOptions {
  readonly data: string;
  readonly output: Format;
}

export interface RevokeOptions {
  readonly data: string;
  readonly rootKey?: string;
  readonly reason?: string;
  readonly yes?: boolean;
}

/** Fields that a table has room for. */
const MEMBER_FIELDS = ['cluster', 'state', 'index', 'podCidrs', 'serviceCidrs', 'identity', 'since'];

/** The token stands alone on standard output, so that it can be piped to where it is needed. */
export async function printToken({ terminal, now }: Context, options: TokenOptions): Promise<void> {
  const { data, cluster, podCidr, serviceCidr = [], ttl } = options;
  const issued = await issueToken({
    dir: data,
    cluster,
    podCidrs: podCidr,
    serviceCidrs: serviceCidr,
    ttlSeconds: ttl,
    now,
  });
  terminal.out(`${issued.token}\n`);
  terminal.say(
    `For "${cluster}", once, until ${issued.expires}. It is a secret. On a gateway of "${cluster}": clusterctl join --token-file -`,
  );
}

export async function showMembers(context: Context, { data, output }: MembersOptions): Promise<void> {
  const rows = (await listMembers({ dir: data })).map((row) => ({ ...row }));
  const shown = output === 'table' ? rows.map((row) => pick(row, MEMBER_FIELDS)) : rows;
  printRows(context, output, shown, {
    columns: columnsOf(shown),
    empty: 'Nobody has joined yet. Make a token: clusterctl broker token',
  });
}

export async function revokeTheMember(
  context: Context,
  cluster: ClusterId,
  { data, rootKey, reason, yes = false }: RevokeOptions,
): Promise<void> {
  const key = rootKey === undefined ? undefined : await readKey(rootKey);
  const consequence = `"${cluster}" is cut off at once, and cannot come back with this identity`;
  await confirm(context, `revoke "${cluster}"`, { yes, consequence });
  const revoked = await revokeMember({
    dir: data,
    cluster,
    now: context.now,
    ...(key === undefined ? {} : { rootKey: key }),
    ...(reason === undefined ? {} : { reason }),
  });
  const told = revoked.running
    ? 'everybody is told'
    : 'the broker does not run, and tells everybody when it starts';
  const held = revoked.freed
    ? 'Its id and CIDRs are free'
    : 'Its id and CIDRs stay held until --root-key frees them';
  context.terminal.say(`Revoked "${cluster}": ${told}. ${held}`);
}

async function readKey(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw unreadable('the root key', file, cause);
  }
}
