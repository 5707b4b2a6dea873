// Where a lab's names and files are: every one of them carries the lab's name.

import fs from 'node:fs/promises';
import path from 'node:path';

/** Directory of all labs. Below /run, because nothing in it outlives the namespaces. */
export const LABS = '/run/isthmus-lab';
/** Where iproute2 keeps named network namespaces. */
export const NETNS = '/run/netns';
const PREFIX = 'ist.';
/** What a lab can be called. No dot: so no lab's prefix begins another's, and no name is a path that leads elsewhere. */
const NAME = /^[a-z0-9][a-z0-9-]*$/i;

/** `ist.demo.east.gw-0` for place `east/gw-0` of lab `demo`. */
export function netnsName(lab: string, place: string): string {
  return `${PREFIX}${lab}.${place.replace('/', '.')}`;
}

/** `gateway@east.gw-0` */
function processName(role: string, place: string): string {
  return `${role}@${place.replace('/', '.')}`;
}

/** Files of one lab. */
export class Home {
  readonly lab: string;
  readonly root: string;

  /** @throws {SyntaxError} for what is no name of a lab: it becomes part of paths that are removed with all that is in them */
  constructor(lab: string) {
    if (!NAME.test(lab))
      throw new SyntaxError(
        `Cannot use "${lab}" as a lab's name: it is not made of letters, digits and hyphens`,
      );
    this.lab = lab;
    this.root = path.join(LABS, lab);
  }

  /** The scenario as it was given, defaults filled in, JSON. */
  get scenario(): string {
    return path.join(this.root, 'scenario.json');
  }

  /** What every command of the lab is run through. */
  get entryScript(): string {
    return path.join(this.root, 'in');
  }

  /** Process ids by role and place, one file each. */
  get pids(): string {
    return path.join(this.root, 'pids');
  }

  get logs(): string {
    return path.join(this.root, 'log');
  }

  /** What a process says, by what it was started as and where. */
  log(role: string, place: string): string {
    return path.join(this.logs, `${processName(role, place)}.log`);
  }

  /** Holds the id of a process that was started. */
  pid(role: string, place: string): string {
    return path.join(this.pids, processName(role, place));
  }

  /** A file that is there while somebody means to come back to this lab. */
  get kept(): string {
    return path.join(this.root, 'kept');
  }

  /** What has to exist before anything runs. Nothing else makes these: a lab that is removed meanwhile must not come back. */
  get directories(): readonly string[] {
    return [this.pids, this.logs, path.join(this.root, 'ends')];
  }

  /** Sockets of the processes that answer for pods. */
  socket(end: string): string {
    return path.join(this.root, 'ends', `${end.replace('/', '.')}.sock`);
  }

  /** What the hosts of one site share: `etc` with the site directory in it, and the gateways' `secrets`. */
  site(site: string): { readonly etc: string; readonly directory: string; readonly secrets: string } {
    const root = path.join(this.root, 'sites', site);
    const etc = path.join(root, 'etc');
    return { etc, directory: path.join(etc, 'isthmus'), secrets: path.join(root, 'secrets') };
  }

  /** What one node has for itself: its /run, its /var/lib, the pid of the process that holds its namespaces. */
  node(place: string): { readonly run: string; readonly varLib: string; readonly holder: string } {
    const root = path.join(this.root, 'nodes', place.replace('/', '.'));
    return {
      run: path.join(root, 'run'),
      varLib: path.join(root, 'var-lib'),
      holder: path.join(root, 'holder'),
    };
  }
}

/** Network namespaces of one lab that exist, whoever left them behind. */
export async function namespacesOf(lab: string): Promise<string[]> {
  return (await entries(NETNS)).filter((name) => name.startsWith(`${PREFIX}${lab}.`));
}

/** Names of all labs on this machine: those with namespaces and those with files, sorted. */
export async function labNames(): Promise<string[]> {
  const named = (await entries(NETNS)).flatMap((name) => {
    const [prefix, lab, place] = name.split('.');
    return `${prefix}.` === PREFIX && lab !== undefined && place !== undefined ? [lab] : [];
  });
  const names = new Set([...named, ...(await entries(LABS))]);
  return [...names].filter((name) => NAME.test(name)).sort();
}

/** Whether somebody means to come back to that lab. */
export async function isKept(lab: string): Promise<boolean> {
  return (await entries(new Home(lab).root)).includes('kept');
}

/** Takes the lab's name by making its directory: of two that build one at the same time, the first has it. */
export async function takeName({ root }: Home): Promise<boolean> {
  for (;;) {
    await fs.mkdir(LABS, { recursive: true });
    try {
      await fs.mkdir(root);
      return true;
    } catch (error) {
      if (isError(error, 'EEXIST')) return false;
      // The end of the last lab has removed the directory of all.
      if (!isError(error, 'ENOENT')) throw error;
    }
  }
}

async function entries(directory: string): Promise<string[]> {
  try {
    return await fs.readdir(directory);
  } catch (error) {
    if (isError(error, 'ENOENT')) return [];
    throw error;
  }
}

function isError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
