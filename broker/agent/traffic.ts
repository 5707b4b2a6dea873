// Who sends or reads more than any honest member does: the server limits no account's rate, so somebody has to be told.

import type { NatsConnection } from '@nats-io/nats-core';
import * as v from 'valibot';
import { isAccount } from '../trust/header.ts';
import type { Account } from '../trust/header.ts';

/** An account and its rates since the last look, in whole units a second. */
export interface Flood {
  readonly account: Account;
  readonly messagesSent: number;
  readonly bytesSent: number;
  readonly bytesRead: number;
}

/**
 * A second's worth that nobody needs for long: a member of ten gateways in a clusterset of a thousand says a few words a
 * second, and reads the whole stream of 70 MB at most once in a while.
 */
const LIMITS = { messagesSent: 200, bytesSent: 4_000_000, bytesRead: 32_000_000 } as const;
const NAMES = ['messagesSent', 'bytesSent', 'bytesRead'] as const;
const TIMEOUT_MS = 2_000;

const COUNT = v.object({ msgs: v.number(), bytes: v.number() });
const STATISTICS = v.object({
  data: v.object({
    account_statz: v.array(v.object({ acc: v.string(), sent: COUNT, received: COUNT })),
  }),
});

type Counts = Omit<Flood, 'account'>;

/** Weighs accounts by what the server has counted between two looks. */
export class Traffic {
  readonly #connection: NatsConnection;
  #before: ReadonlyMap<Account, Counts> = new Map();
  #at = 0;

  /** @param connection a user of the system account */
  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** Who has gone beyond a limit since the last call. The first call only remembers. */
  async weigh(): Promise<readonly Flood[]> {
    const now = performance.now();
    const counts = await this.#ask();
    // Two looks in a row would make a rate of a single message.
    const seconds = Math.max(1, (now - this.#at) / 1000);
    const before = this.#before;
    this.#before = counts;
    this.#at = now;
    return [...counts].flatMap(([account, count]) => {
      const last = before.get(account);
      // A server that was started again counts from zero.
      if (last === undefined || last.messagesSent > count.messagesSent) return [];
      const rate = (name: keyof Counts): number => Math.round((count[name] - last[name]) / seconds);
      const rates = {
        messagesSent: rate('messagesSent'),
        bytesSent: rate('bytesSent'),
        bytesRead: rate('bytesRead'),
      };
      const isFlood = NAMES.some((name) => rates[name] > LIMITS[name]);
      return isFlood ? [{ account, ...rates }] : [];
    });
  }

  /** What the server calls received is what the account's clients have sent. */
  async #ask(): Promise<ReadonlyMap<Account, Counts>> {
    const reply = await this.#connection.request('$SYS.REQ.ACCOUNT.PING.STATZ', '', { timeout: TIMEOUT_MS });
    const { data } = v.parse(STATISTICS, reply.json<unknown>());
    return new Map(
      data.account_statz.flatMap(({ acc, sent, received }) =>
        isAccount(acc)
          ? [
              [
                acc,
                { messagesSent: received.msgs, bytesSent: received.bytes, bytesRead: sent.bytes },
              ] as const,
            ]
          : [],
      ),
    );
  }
}
