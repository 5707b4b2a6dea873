// What daemons decided during a run, from their logs: a figure that is too high does not say whose it is.

import fs from 'node:fs/promises';
import type { Lab } from '../lab.ts';
import { fieldsOf } from '../last-words.ts';
import { daemonOf } from '../product.ts';

/** Every verdict that a daemon told of since then, and everything that it warned of, the oldest first: `east/gw-0 03:30:52.271 path west/0#0 up: …`. */
export async function verdictsSince(lab: Lab, since: Date): Promise<string[]> {
  const told = await Promise.all(
    lab.nodes.map(async (node) => {
      const log = await fs.readFile(lab.home.log(daemonOf(node), node.place), 'utf8').catch(() => '');
      return verdictsIn(log, since).map(({ time, message }) => ({ time, place: node.place, message }));
    }),
  );
  return told
    .flat()
    .toSorted((a, b) => a.time.localeCompare(b.time))
    .map(({ time, place, message }) => `${place} ${time.slice(11, -1)} ${message}`);
}

interface Verdict {
  /** RFC 3339, UTC. */
  readonly time: string;
  readonly message: string;
}

/** Of a log in JSON lines; whatever else stands in it says nothing of a path. */
export function verdictsIn(log: string, since: Date): readonly Verdict[] {
  return log.split('\n').flatMap((line) => {
    const { level, time, path, message } = fieldsOf(line);
    if (typeof time !== 'string' || typeof message !== 'string' || time < since.toISOString()) return [];
    return path === undefined && level === 'info' ? [] : [{ time, message }];
  });
}
