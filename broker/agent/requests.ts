// What joiners and members ask of the membership agent: each within a budget, so that nobody keeps it from the others.

import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { Sparing } from '#lib/log';
import type { Log } from '#lib/log';
import { encodeAnswer } from '../join/message.ts';
import { HOT, JOIN } from '../server/subjects.ts';
import { isAccount } from '../trust/header.ts';
import type { Account } from '../trust/header.ts';
import { isRecord } from '../trust/record.ts';
import { refuse, Refused } from '../trust/refusal.ts';
import type { Admissions } from './admissions.ts';
import { Budget } from './budget.ts';
import { hotSubject } from './hot.ts';
import type { Roster } from './roster.ts';

export interface RequestsOptions {
  /** A user of the broker's own account. */
  readonly connection: NatsConnection;
  readonly admissions: Admissions;
  readonly roster: Roster;
  readonly log: Log;
  readonly now: () => Date;
}

/** Messages that one member, or one who joins, may send in one second: a fan-out to a thousand members costs the server 15 ms of CPU. */
const PER_SECOND = 16;
/** Joins under way or waiting for their turn; who is one too many asks again. */
const MAX_JOINS = 256;

/** Serves until the connection is closed. */
export function serveRequests(options: RequestsOptions): void {
  const { connection } = options;
  const requests = new Requests(options);
  connection.subscribe(`${JOIN}.*.*`, { callback: (_, message) => void requests.join(message) });
  connection.subscribe(`${HOT}.*`, { callback: (_, message) => void requests.hot(message) });
}

class Requests {
  readonly #options: RequestsOptions;
  readonly #budget = new Budget(PER_SECOND);
  readonly #sparing = new Sparing({ now: () => performance.now() });
  #joins = 0;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  async join(message: Msg): Promise<void> {
    const { log, now } = this.#options;
    const token = message.subject.split('.').at(-1) ?? '';
    if (this.#joins >= MAX_JOINS || !this.#budget.take(token, now())) return;
    this.#joins += 1;
    try {
      message.respond(encodeAnswer(await this.#options.admissions.join(message.data, token)));
    } catch (error) {
      // No answer: the joiner asks again, and finds what was done so far.
      log.error({ error }, 'A join could not be finished');
    } finally {
      this.#joins -= 1;
    }
  }

  async hot(message: Msg): Promise<void> {
    const { connection, now } = this.#options;
    const account = message.subject.split('.').at(-1) ?? '';
    if (!isAccount(account)) return;
    try {
      if (!this.#budget.take(account, now())) {
        refuse('oversized', `it sends more than ${PER_SECOND} messages in a second`);
      }
      await this.#takeHot(account, message);
    } catch (error) {
      this.#report(account, error);
      const isFlood = error instanceof Refused && error.code === 'oversized';
      // Closed while this was under way: nobody hears an answer any more.
      if (!isFlood && !connection.isClosed()) message.respond(JSON.stringify({ ok: false }));
    }
  }

  #report(account: Account, error: unknown): void {
    const { log } = this.#options;
    const code = error instanceof Refused ? error.code : undefined;
    const line = this.#sparing.ask(`${account} ${code}`);
    if (line === undefined) return;
    if (error instanceof Refused) log.warn({ account, code, ...line }, `Refused a message: ${error.message}`);
    else log.error({ error, account, ...line }, 'A message could not be handled');
  }

  /** A record to pass on, the member's own departure, or something of the directory that our disk has forgotten. */
  async #takeHot(account: Account, message: Msg): Promise<void> {
    const { roster } = this.#options;
    const { data } = message;
    if (!isRecord(data)) {
      await this.#options.admissions.take(data, account, () => message.respond(JSON.stringify({ ok: true })));
    } else if (roster.ledger.memberOf(account) !== undefined) {
      this.#options.connection.publish(hotSubject(account, data), data);
    }
  }
}
