// Kills a daemon with -9 at a chosen command of its apply: before it, after it, or with half of it done.

import fs from 'node:fs/promises';
import path from 'node:path';
import type { Lab } from '#lab';

/** What an apply changes the kernel with. */
const PROGRAMS = ['ip', 'bridge', 'nft', 'wg', 'sysctl'] as const;
/** Command lines that change something; a userspace device has been started when it is shown. */
const CHANGING = [
  '*-force -batch*',
  '*nexthop replace*',
  '*nexthop delete*',
  '-f -*',
  'addconf*',
  'set *',
  'show ist*',
  '-q -p*',
];

/** Stands before the real program. One that changes something is counted, and the one whose turn it is comes with the end. */
function stand(directory: string, real: string): string {
  return `#!/bin/sh
case "$*" in ${CHANGING.join('|').replaceAll(' ', '\\ ')}) ;; *) exec ${real} "$@" ;; esac
cd ${directory} && read -r at <at && read -r count <count && count=$((count + 1)) && echo $count >count
[ $count -eq $at ] || exec ${real} "$@"
end() { kill -9 $(cat pid); }
case $((at % 3)) in
  0) end ;;
  1) ${real} "$@"; end ;;
  2) case "$*" in
      *-batch*) cat >lines; head -n $(($(wc -l <lines) / 2)) lines | ${real} "$@"; end ;;
      *) end ;;
    esac ;;
esac
`;
}

/** One node's. */
export class Reaper {
  readonly #lab: Lab;
  readonly #place: string;
  readonly #directory: string;

  private constructor(lab: Lab, place: string) {
    this.#lab = lab;
    this.#place = place;
    this.#directory = path.join(lab.home.root, `reaper-${place.replace('/', '.')}`);
  }

  static async at(lab: Lab, place: string): Promise<Reaper> {
    const reaper = new Reaper(lab, place);
    await fs.mkdir(reaper.#directory, { recursive: true });
    for (const program of PROGRAMS) {
      const real = await lab.place(place).exec(['sh', '-c', `command -v ${program}`]);
      const text = stand(reaper.#directory, real.trim());
      await fs.writeFile(path.join(reaper.#directory, program), text, { mode: 0o755 });
    }
    return reaper;
  }

  get #role(): 'gateway' | 'route-agent' {
    return this.#lab.node(this.#place).node.role === 'gateway' ? 'gateway' : 'route-agent';
  }

  /** Starts the node's daemon, to be killed at its changing command of that number; 0: never. */
  async start(at: number): Promise<void> {
    await this.arm(at);
    const script = 'echo $$ >"$0/pid"; PATH=$0:$PATH; export PATH; exec "$1"';
    const argv = ['sh', '-c', script, this.#directory, `isthmus-${this.#role}`] as const;
    await this.#lab.place(this.#place).spawn({ role: this.#role, argv });
  }

  /** Counts from here on, for a daemon that runs. */
  async arm(at: number): Promise<void> {
    for (const [file, value] of [
      ['count', 0],
      ['at', at],
    ] as const)
      await fs.writeFile(path.join(this.#directory, file), `${value}\n`);
  }

  /** Commands so far that changed something. */
  async count(): Promise<number> {
    return Number(await fs.readFile(path.join(this.#directory, 'count'), 'utf8'));
  }

  async isDead(): Promise<boolean> {
    const running = await this.#lab.processes({ role: this.#role, place: this.#place });
    return running.length === 0;
  }
}
