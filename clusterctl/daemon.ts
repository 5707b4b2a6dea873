// What the daemon on this host says of itself, over its loopback port.

import type { IncomingMessage } from 'node:http';
import process from 'node:process';
import { GATEWAY_HTTP_PORT, ROUTE_AGENT_HTTP_PORT } from '#lib/constants';
import { codeOf, messageOf } from '#lib/errors';
import { CliError, EXIT } from './exit.ts';

const TIMEOUT_MS = 2000;
/** A fleet of a thousand clusters is 2 MB. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * The JSON value of `/state`: of the port that is asked for, else of the gateway daemon, else of the route agent.
 *
 * @returns undefined when no daemon runs and no port was asked for
 * @throws {CliError} when a daemon runs that does not answer as it should
 */
export async function readDaemonState(port: number | undefined): Promise<unknown> {
  if (port !== undefined) {
    const state = await readPort(port);
    if (state !== undefined) return state;
    throw new CliError(
      EXIT.unreachable,
      `Cannot read state from "127.0.0.1:${port}": nothing listens there. See: systemctl status isthmus-gateway`,
    );
  }
  return (await readPort(GATEWAY_HTTP_PORT)) ?? (await readPort(ROUTE_AGENT_HTTP_PORT));
}

async function readPort(port: number): Promise<unknown> {
  try {
    return JSON.parse(await get(port));
  } catch (cause) {
    if (codeOf(cause) === 'ECONNREFUSED') return undefined;
    const reason = messageOf(cause);
    throw new CliError(EXIT.unreachable, `Cannot read state from "127.0.0.1:${port}": ${reason}`, { cause });
  }
}

function get(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = process
      .getBuiltinModule('node:http')
      .get({ host: '127.0.0.1', port, path: '/state', agent: false, timeout: TIMEOUT_MS }, (response) => {
        read(response).then(resolve, reject);
      });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', reject);
  });
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`the answer is longer than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  if (response.statusCode !== 200)
    throw new Error(`it answers ${response.statusCode}: ${text.trim().slice(0, 500)}`);
  return text;
}
