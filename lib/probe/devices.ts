// Which index each device has now: one that was made anew has another, under the same name.

import { readFileSync } from 'node:fs';

/** Of this process's own network namespace, whatever of sysfs is mounted; a tenth of the time that all of a device would take. */
const ADDRESSES = '/proc/self/net/if_inet6';

/** Name → index, of devices that have an IPv6 address. Empty where the kernel has no IPv6. */
export function deviceIndexes(): ReadonlyMap<string, number> {
  try {
    const lines = readFileSync(ADDRESSES, 'latin1').split('\n');
    return new Map(lines.map(indexOf));
  } catch {
    return new Map();
  }
}

/** `fe80…0001 03 40 20 80 ist-link`: address, index, prefix, scope and flags in hexadecimal, name. */
function indexOf(line: string): readonly [name: string, index: number] {
  const [, index = '', , , , name = ''] = line.trim().split(/ +/);
  return [name, Number.parseInt(index, 16)];
}
