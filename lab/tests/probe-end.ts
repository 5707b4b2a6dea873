// One end of a path, for tests in a namespace: asks what it is given for a second, prints which questions were answered, and stays.

import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { Probes } from '#lib/probe';
import type { Ends, Question } from '#lib/probe';
import { PrivateKey } from '#lib/wireguard';

/** What the program takes as its argument, as JSON. */
export interface End {
  readonly ends?: Ends;
  readonly echoes?: readonly string[];
  /** Through a far gateway one asks in its name: with a key, which nobody else has to know. */
  readonly keyed?: boolean;
  readonly questions?: readonly Question[];
}

function endOf(text: string): End {
  const end: unknown = JSON.parse(text);
  if (typeof end !== 'object' || end === null) throw new TypeError(`Cannot read "${text}": it is no object`);
  return end;
}

const { ends, echoes = [], keyed = false, questions = [] } = endOf(process.argv[2] ?? '');
const answered = new Map<string, Question>();
using probes = new Probes<'far'>({
  onAnswer: ({ question }) => void answered.set(JSON.stringify(question), question),
  onTold: () => {},
  onRefused: () => {},
  speak: () => ({ hears: 'yes', impaired: false, draining: false, blocked: false }),
});
const secret = { own: PrivateKey.generate(), peer: PrivateKey.generate().publicKey };
probes.hold(
  ends === undefined ? [] : [{ id: 'far', ends: [ends], ...(keyed ? { secret } : {}) }],
  new Set(echoes),
);
for (let round = 0; round < 20; round += 1) {
  await delay(50);
  for (const question of questions) probes.ask('far', question);
}
await delay(200);
process.stdout.write(JSON.stringify([...answered.keys()].toSorted().map((key) => answered.get(key))));
if (questions.length === 0) await delay(30_000);
