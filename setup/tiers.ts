// The tiers of tests, each with what it needs of the machine.

import process from 'node:process';
import { bundle, programNames } from './bundle.ts';
import { ensurePrograms } from './programs.ts';
import { SetupError } from './say.ts';

export interface Tier {
  readonly name: string;
  /** What AVA's command line is handed to, if Node does not run it here. */
  readonly launcher?: readonly string[];
  /** Arguments of AVA that select its files. */
  readonly ava: readonly string[];
  /** Few long tests: each is shown as it passes. */
  readonly showPassed: boolean;
  /** It is run only where it is named: it takes too long beside the others. */
  readonly isByName?: true;
  /** It is run beside the others, and takes only what time they leave. */
  readonly isBeside?: true;
  /** After which it counts as failed. A whole run stays under half an hour on two cores: this is for slower ones. */
  readonly timeoutMinutes: number;
  /** Sets up what it needs; says why it cannot run here, if so. */
  readonly prepare: () => Promise<string | undefined>;
}

/** Why it cannot be set up, if so. */
async function setUp(group: string): Promise<string | undefined> {
  try {
    await ensurePrograms(group);
    return undefined;
  } catch (error) {
    if (error instanceof SetupError) return error.message;
    throw error;
  }
}

/** Unit tests run in any case: one that needs a nats-server which cannot be fetched fails and says so. */
async function prepareUnit(): Promise<undefined> {
  const missing = await setUp('unit');
  if (missing !== undefined) process.stdout.write(`${missing}\n`);
  return undefined;
}

/** Everything that is built is built here: in an emulated machine it takes ten times as long. */
async function prepareKernel(): Promise<string | undefined> {
  const missing = await setUp('vm');
  if (missing === undefined) await Promise.all(programNames.map(bundle));
  return missing;
}

/** In a virtual machine. */
const EMULATED = {
  launcher: ['lab/vm/main.ts', process.execPath],
  showPassed: true,
  prepare: prepareKernel,
} as const;

export const TIERS: readonly Tier[] = [
  {
    name: 'unit',
    ava: [],
    showPassed: false,
    timeoutMinutes: 5,
    prepare: prepareUnit,
  },
  {
    name: 'lab',
    ava: ['--config', 'setup/ava.lab.mjs'],
    showPassed: true,
    timeoutMinutes: 26,
    prepare: () => setUp('test'),
  },
  {
    ...EMULATED,
    name: 'kernel',
    isBeside: true,
    ava: ['--config', 'setup/ava.kernel.mjs'],
    timeoutMinutes: 60,
  },
  {
    ...EMULATED,
    name: 'kernel-faults',
    isByName: true,
    ava: ['--config', 'setup/ava.faults.mjs'],
    timeoutMinutes: 90,
  },
];
