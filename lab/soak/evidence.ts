// Keeps what explains a failure: the lab that it happened in is taken down.

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Lab } from '../lab.ts';

/** Of each node; no private keys. A command that fails says so in place of its answer. */
const COMMANDS = [
  'clusterctl show paths -o json',
  'clusterctl show conditions',
  'ip -d nexthop',
  'ip -4 route show table all',
  'ip -6 route show table all',
  'ip -d link',
  'wg show all latest-handshakes',
  'wg show all endpoints',
  'nft list ruleset',
  'ps -e -o pid,stat,rss,args',
] as const;

/** @returns the directory: logs of all programs, and what each node held */
export async function saveEvidence(lab: Lab): Promise<string> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'isthmus-soak-'));
  await fs.cp(lab.home.logs, path.join(directory, 'log'), { recursive: true });
  const places = lab.layout.places.filter(({ kind }) => kind !== 'pod').map(({ name }) => name);
  await Promise.all(
    places.map(async (place) => {
      const script = COMMANDS.map((command) => `echo '$ ${command}'; timeout 5 ${command} 2>&1 || :`).join(
        '\n',
      );
      const said = await lab
        .place(place)
        .exec(['sh', '-c', script], { timeoutMs: 60_000 })
        .catch((error: unknown) => String(error));
      await fs.writeFile(path.join(directory, `${place.replace('/', '.')}.txt`), said);
    }),
  );
  return directory;
}
