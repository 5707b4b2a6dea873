// The stream through JetStream's own requests: few of them, and all by name.

import type { Msg, NatsConnection } from '@nats-io/nats-core';
import * as v from 'valibot';
import { streamSettings } from '../server/stream.ts';
import { DIRECT_GET, STREAM, STREAM_INFO } from '../server/subjects.ts';

/** Milliseconds; a request that met a restart is asked again by whoever wanted it. */
const TIMEOUT_MS = 2_000;
/** JetStream's code for a stream that is not there. */
const NOT_FOUND = 10_059;

const ERROR = v.object({
  error: v.object({ code: v.number(), err_code: v.number(), description: v.string() }),
});
const INFO = v.object({
  created: v.string(),
  config: v.record(v.string(), v.unknown()),
  state: v.object({ last_seq: v.number(), subjects: v.optional(v.record(v.string(), v.number())) }),
});

export interface StreamInfo {
  /** As the server writes it: another text is another stream. */
  readonly created: string;
  readonly head: number;
}

/** The one stream, seen from the account that owns it. */
export class Stream {
  readonly #connection: NatsConnection;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** Makes the stream, or puts its settings right; returns whether it had to be made. */
  async ensure(replicas: number): Promise<boolean> {
    const found = await this.#ask(STREAM_INFO);
    const missing = v.is(ERROR, found) && found.error.err_code === NOT_FOUND;
    const settings = streamSettings(replicas);
    if (missing) {
      expectGood(await this.#ask(`$JS.API.STREAM.CREATE.${STREAM}`, settings), 'create');
      return true;
    }
    const { config } = v.parse(INFO, expectGood(found, 'read'));
    const differs = Object.entries(settings).some(([name, value]) => !isSame(config[name], value));
    if (differs) expectGood(await this.#ask(`$JS.API.STREAM.UPDATE.${STREAM}`, settings), 'update');
    return false;
  }

  async info(): Promise<StreamInfo> {
    const { created, state } = v.parse(INFO, expectGood(await this.#ask(STREAM_INFO), 'read'));
    return { created, head: state.last_seq };
  }

  /** Subjects that the stream holds below a filter. */
  async subjects(filter: string): Promise<readonly string[]> {
    const answer = await this.#ask(STREAM_INFO, { subjects_filter: filter });
    return Object.keys(v.parse(INFO, expectGood(answer, 'read')).state.subjects ?? {});
  }

  /** The last message of a subject; undefined: none. */
  async last(subject: string): Promise<Uint8Array | undefined> {
    const answer = await this.#request(DIRECT_GET, { last_by_subj: subject });
    return answer.headers?.code === 404 ? undefined : answer.data;
  }

  /** Resolves when the stream has it. */
  async put(subject: string, bytes: Uint8Array): Promise<void> {
    const answer = await this.#connection.request(subject, bytes, { timeout: TIMEOUT_MS });
    expectGood(parse(answer), 'write');
  }

  async purge(filter: string): Promise<void> {
    expectGood(await this.#ask(`$JS.API.STREAM.PURGE.${STREAM}`, { filter }), 'purge');
  }

  async #ask(subject: string, body?: object): Promise<unknown> {
    return parse(await this.#request(subject, body));
  }

  async #request(subject: string, body?: object): Promise<Msg> {
    return this.#connection.request(subject, body === undefined ? '' : JSON.stringify(body), {
      timeout: TIMEOUT_MS,
    });
  }
}

function parse(message: Msg): unknown {
  return message.json<unknown>();
}

function expectGood(answer: unknown, action: string): unknown {
  if (!v.is(ERROR, answer)) return answer;
  throw new Error(`Cannot ${action} the stream "${STREAM}": ${answer.error.description}`);
}

/** Deep enough for settings; what the server adds by itself is not compared. */
function isSame(have: unknown, want: unknown): boolean {
  if (typeof want !== 'object' || want === null || typeof have !== 'object' || have === null) {
    // Absent and zero are one to a server that leaves zeros out.
    return have === want || (have === undefined && (want === false || want === 0));
  }
  return Object.entries(want).every(([name, value]) =>
    isSame(Object.entries(have).find(([n]) => n === name)?.[1], value),
  );
}
