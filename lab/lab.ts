// A lab as a value: built, opened again by name, removed.

import fs from 'node:fs/promises';
import type { Command, Run } from '#lib/linux';
import { bundle } from '#setup';
import { build } from './build.ts';
import { destroy } from './destroy.ts';
import { waitForEnd } from './ends.ts';
import { entry, runIn, writeEntryScript } from './enter.ts';
import { guard } from './guard.ts';
import { Home, labNames, takeName } from './home.ts';
import { lastWords } from './last-words.ts';
import { layout, type LabEnd, type LabNode, type LabSite, type Layout } from './layout.ts';
import {
  listProcesses,
  programsIn,
  signalProcesses,
  startProcess,
  type LabProcess,
  type StartOptions,
} from './processes.ts';
import { checkScenario, type ScenarioInput } from './scenario.ts';
import { writeSiteFiles } from './site-files.ts';

export interface UpOptions {
  /** @default the scenario's name */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/** Which processes: all that match. */
export interface ProcessFilter {
  readonly role?: string;
  readonly place?: string;
  readonly site?: string;
}

/** One namespace of a lab: commands run inside it. */
export class LabPlace {
  readonly name: string;
  readonly run: Run;
  readonly #home: Home;

  constructor(home: Home, name: string) {
    this.name = name;
    this.#home = home;
    this.run = runIn(home, name);
  }

  /** Runs a program to its end and gives its stdout. Rejects with CommandError. */
  exec(argv: Command['argv'], options: Omit<Command, 'argv'> = {}): Promise<string> {
    return this.run({ ...options, argv });
  }

  /** Starts a program that outlives this process; `down` ends it at the latest. */
  spawn(options: StartOptions): Promise<LabProcess & { readonly log: string }> {
    return startProcess(this.#home, this.name, options);
  }

  /** What a command line has to begin with to run here. */
  entry(): Promise<[string, ...string[]]> {
    return entry(this.#home, this.name);
  }
}

/** A running lab. Disposing of it removes everything that carries its name. */
export class Lab implements AsyncDisposable {
  readonly home: Home;
  readonly layout: Layout;

  private constructor(home: Home, plan: Layout) {
    this.home = home;
    this.layout = plan;
  }

  get name(): string {
    return this.home.lab;
  }

  /**
   * Builds a lab: namespaces, networks, site directories, and a process that answers in every pod. Nothing of the product runs yet.
   * @throws {Error} if a lab of that name exists
   */
  static async up(input: ScenarioInput, options: UpOptions = {}): Promise<Lab> {
    const scenario = checkScenario(input);
    const lab = new Lab(new Home(options.name ?? scenario.name), layout(scenario));
    if ((await labNames()).includes(lab.name) || !(await takeName(lab.home)))
      throw new Error(
        `Cannot build lab "${lab.name}": there is one of that name. Remove it: npm run lab -- down ${lab.name}`,
      );
    guard(lab.home);
    try {
      for (const directory of lab.home.directories) await fs.mkdir(directory, { recursive: true });
      await fs.writeFile(lab.home.scenario, JSON.stringify(scenario, undefined, 2));
      await writeEntryScript(lab.home);
      const program = bundle('lab-pod');
      program.catch(() => {});
      await build({ ...options, home: lab.home, layout: lab.layout });
      await writeSiteFiles(lab.home, lab.layout);
      await lab.#startEnds(await program);
      options.signal?.throwIfAborted();
      return lab;
    } catch (error) {
      await lab.down();
      options.signal?.throwIfAborted();
      throw error;
    }
  }

  /** A lab that was built before, by whomever. */
  static async open(name: string): Promise<Lab> {
    const home = new Home(name);
    try {
      return new Lab(home, layout(checkScenario(JSON.parse(await fs.readFile(home.scenario, 'utf8')))));
    } catch (error) {
      throw new Error(
        `Cannot open lab "${name}": it is not there, or not whole. What there is: npm run lab -- list`,
        {
          cause: error,
        },
      );
    }
  }

  /** Removes a lab by its name, also one that nobody can open any more. */
  static async down(name: string): Promise<void> {
    await destroy(name);
  }

  /** Somebody means to come back to it: nobody else's run takes its name. */
  async keep(): Promise<void> {
    await fs.writeFile(this.home.kept, '');
  }

  async #startEnds(program: string): Promise<void> {
    const node = ['--max-semi-space-size=1', program] as const;
    const start = async (end: LabEnd): Promise<void> => {
      const socket = this.home.socket(end.name);
      const role = end.kind === 'pod' ? 'end' : end.name.slice(end.site.length + 1);
      const argv = [process.execPath, ...node, socket] as const;
      const { log } = await this.place(end.place).spawn({ role, argv });
      await waitForEnd(socket).catch(async (cause: unknown) => {
        const said = lastWords(await fs.readFile(log, 'utf8'));
        throw new Error(`Cannot start what answers for "${end.name}": ${said}`, { cause });
      });
    };
    await Promise.all(this.ends.map(start));
  }

  /** `internet`, `broker`, `east/router`, `east/gw-0`, `east/pod-a`. */
  place(name: string): LabPlace {
    if (this.layout.places.every((place) => place.name !== name))
      throw new RangeError(
        `Cannot find "${name}" in lab "${this.name}". What there is: npm run lab -- list ${this.name}`,
      );
    return new LabPlace(this.home, name);
  }

  node(name: string): LabPlace & { readonly node: LabNode } {
    const node = this.nodes.find((each) => each.place === name);
    if (node === undefined) throw new RangeError(`Cannot find node "${name}" in lab "${this.name}"`);
    return Object.assign(this.place(name), { node });
  }

  pod(name: string): LabPlace & { readonly end: LabEnd } {
    const end = this.ends.find((each) => each.name === name);
    if (end === undefined) throw new RangeError(`Cannot find pod "${name}" in lab "${this.name}"`);
    return Object.assign(this.place(end.place), { end });
  }

  site(name: string): LabSite {
    const site = this.layout.sites.find((each) => each.name === name);
    if (site === undefined) throw new RangeError(`Cannot find site "${name}" in lab "${this.name}"`);
    return site;
  }

  get nodes(): readonly LabNode[] {
    return this.layout.sites.flatMap((site) => site.nodes);
  }

  get ends(): readonly LabEnd[] {
    return this.layout.sites.flatMap((site) => site.ends);
  }

  /** Processes that were started by {@link LabPlace.spawn} and still run. */
  async processes(filter: ProcessFilter = {}): Promise<LabProcess[]> {
    return (await listProcesses(this.home)).filter(
      ({ role, place }) =>
        role === (filter.role ?? role) &&
        place === (filter.place ?? place) &&
        (filter.site === undefined || place.startsWith(`${filter.site}/`)),
    );
  }

  /** Signals processes; ends are waited for. `SIGSTOP` and `SIGCONT` hang and revive them. */
  async kill(filter: ProcessFilter, name: NodeJS.Signals = 'SIGTERM'): Promise<LabProcess[]> {
    const processes = await this.processes(filter);
    await signalProcesses(processes, name);
    return processes;
  }

  /** Everything that runs in a place's network namespace, its userspace WireGuard for instance: pid → program. */
  programs(place: string): Promise<Map<number, string>> {
    return programsIn(this.home, place);
  }

  async down(): Promise<void> {
    await destroy(this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
