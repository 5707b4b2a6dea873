// How commands on the broker's host speak to the running agent: one line of JSON each way, on a socket in the data directory.

import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { chmod, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import * as v from 'valibot';
import { codeOf, messageOf } from '#lib/errors';
import { isClusterId } from '#lib/names';
import type { ClusterId } from '#lib/names';

/** What can be asked. */
export interface RevokeCommand {
  readonly command: 'revoke';
  readonly cluster: ClusterId;
  readonly reason: string;
  /** Base64 of a revocation that the root signed. */
  readonly revocation?: string;
}

const COMMAND = v.object({
  command: v.literal('revoke'),
  cluster: v.custom<ClusterId>((input) => typeof input === 'string' && isClusterId(input)),
  reason: v.string(),
  revocation: v.exactOptional(v.string()),
});
const ANSWER = v.object({ error: v.optional(v.string()) });

/** Longest line, in bytes. */
const MAX_LINE = 256 * 1024;
const TIMEOUT_MS = 10_000;

/** Serves commands until disposed. Who may connect is who can read the keys anyway. */
export async function serveControl(
  path: string,
  handle: (command: RevokeCommand) => Promise<void>,
): Promise<AsyncDisposable> {
  await rm(path, { force: true });
  await using stack = new AsyncDisposableStack();
  // As long as the server, which removes its socket by this path at the end: the same number could be another directory's by then.
  const directory = stack.use(await open(dirname(path), 'r'));
  const short = shortPath(directory, path);
  const server = createServer((socket) => void answer(socket, handle));
  await listen(server, short);
  stack.defer(() => closed(server));
  await chmod(short, 0o600);
  return stack.move();
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

/**
 * Has the running agent do it.
 * @returns false when none runs
 * @throws {Error} with the agent's reason
 */
export async function sendControl(path: string, command: RevokeCommand): Promise<boolean> {
  try {
    await using directory = await open(dirname(path), 'r');
    const line = await exchange(shortPath(directory, path), `${JSON.stringify(command)}\n`);
    const { error } = v.parse(ANSWER, JSON.parse(line));
    if (error !== undefined) throw new Error(error);
    return true;
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED'].includes(codeOf(error) ?? '')) return false;
    throw error;
  }
}

async function answer(socket: Socket, handle: (command: RevokeCommand) => Promise<void>): Promise<void> {
  // A caller that goes away needs no answer.
  socket.on('error', () => socket.destroy());
  try {
    await handle(v.parse(COMMAND, JSON.parse(await readLine(socket))));
    socket.end('{}\n');
  } catch (error) {
    socket.end(`${JSON.stringify({ error: messageOf(error) })}\n`);
  }
}

function exchange(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.setTimeout(TIMEOUT_MS, () =>
      socket.destroy(new Error('Cannot reach the broker: it does not answer in time')),
    );
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.write(line);
      readLine(socket).then(resolve, reject);
    });
  });
}

function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
      else if (text.length > MAX_LINE) reject(new Error('Cannot read the command: it is too long'));
    });
    socket.once('end', () => reject(new Error('Cannot read the command: it is cut off')));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
}

/** A socket's path has room for 107 bytes; an open directory gives any socket a short one. */
function shortPath({ fd }: FileHandle, path: string): string {
  return `/proc/self/fd/${fd}/${basename(path)}`;
}
