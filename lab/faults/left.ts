// What faults have left behind: looked for in every place, whoever put it there.

import fs from 'node:fs/promises';
import type { Lab } from '../lab.ts';
import type { Place } from '../layout.ts';
import { FAULT_TABLE } from './rules.ts';

/** One line each, `place: what`. Empty when every fault was undone. What the product has to mend is not looked at. */
export async function findFaults(lab: Lab): Promise<string[]> {
  const places = lab.layout.places.filter(({ kind }) => kind !== 'pod');
  const found = await Promise.all(
    places.map(async (place) => {
      const { name, kind } = place;
      const lines = await ofNetwork(lab, place);
      if (kind === 'gateway' || kind === 'worker') lines.push(...(await ofProcesses(lab, name)));
      return lines.map((line) => `${name}: ${line}`);
    }),
  );
  return found.flat();
}

const STATE = `nft list tables
ip -d -o link | sed 's/^[0-9]*: //'
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding`;

async function ofNetwork(lab: Lab, { name, kind }: Place): Promise<string[]> {
  const said = (await lab.place(name).exec(['sh', '-c', STATE])).split('\n');
  const isFault = [
    (line: string) => line.startsWith('table ') && line.includes(` ${FAULT_TABLE}`),
    (line: string) => line.includes(' veth ') && /state DOWN|gso_max_segs 1 /.test(line),
    (line: string) => kind !== 'broker' && /forward\w* = 0$/.test(line),
  ];
  return said.filter((line) => isFault.some((test) => test(line)));
}

/** Stopped processes. */
async function ofProcesses(lab: Lab, place: string): Promise<string[]> {
  const programs = [...(await lab.programs(place))];
  const states = programs.map(async ([pid, name]) => {
    const status = await fs.readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    return /^State:\s+T/m.test(status) ? [`${name} (${pid}) is stopped`] : [];
  });
  return (await Promise.all(states)).flat();
}
