// Finds the programs that a command needs, installing what is missing after saying so.

import { createInterface } from 'node:readline/promises';
import process from 'node:process';
import { aptCommand, installPackages } from './debian.ts';
import { fetchDistributionNats, fetchNatsServer, fetchWireGuard } from './fetch.ts';
import { findProgram, findVirtiofsd, hasKernelWireGuard, hasNatsServer, hasPip } from './find.ts';
import { fetchKernel, findKernel } from './kernel.ts';
import { findLabObstacle, findUserObstacle, findVmObstacle } from './machine.ts';
import { SetupError, say } from './say.ts';

/** Program → the Debian package that has it. */
const PACKAGES = {
  ip: 'iproute2',
  nft: 'nftables',
  wg: 'wireguard-tools',
  sysctl: 'procps',
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  modprobe: 'kmod',
} as const;

type Packaged = keyof typeof PACKAGES;

interface Need {
  readonly packaged: readonly Packaged[];
  readonly natsServer: boolean;
  readonly wireGuard: boolean;
  /** Also an old nats-server, from the distribution. */
  readonly distributionNats: boolean;
  /** It makes network namespaces, here or in a virtual machine: a machine or a user that cannot is told before anything is installed. */
  readonly lab: 'here' | 'vm' | 'no';
}

const HOST: readonly Packaged[] = ['ip', 'nft', 'wg', 'sysctl'];

const HOST_NEED: Need = {
  packaged: HOST,
  natsServer: true,
  wireGuard: true,
  distributionNats: false,
  lab: 'no',
};

const LAB_NEED: Need = { ...HOST_NEED, packaged: [...HOST, 'iperf3', 'ping'], lab: 'here' };

const TEST_NEED: Need = {
  ...LAB_NEED,
  packaged: [...LAB_NEED.packaged, 'tcpdump'],
  distributionNats: true,
};

/** What each command needs: the least, so that a demo installs nothing that it does not run or tell people to try. */
const NEEDS: Readonly<Record<string, Need>> = {
  unit: { ...HOST_NEED, packaged: [], wireGuard: false, distributionNats: true },
  host: HOST_NEED,
  lab: LAB_NEED,
  test: TEST_NEED,
  // A virtual machine sees this machine's programs, and brings a kernel that has WireGuard.
  vm: { ...TEST_NEED, packaged: [...TEST_NEED.packaged, 'modprobe'], wireGuard: false, lab: 'vm' },
  bench: LAB_NEED,
};

/** One missing thing: how to name it to a person, and how to get it. */
interface Step {
  readonly text: string;
  /** Changes the system, not only this checkout: asked for where a person can answer. */
  readonly isSystemWide: boolean;
  /** Its failure leaves a part of the tests out, and nothing else. */
  readonly isOptional: boolean;
  readonly take: () => Promise<void>;
}

async function packageStep(programs: readonly Packaged[], needsPip: boolean): Promise<Step | undefined> {
  const packages: string[] = [];
  for (const program of programs) {
    if ((await findProgram(program)) === undefined) packages.push(PACKAGES[program]);
  }
  if (needsPip && !(await hasPip())) packages.push('python3-pip');
  if (packages.length === 0) return undefined;
  const text = `Debian packages (${aptCommand(packages)})`;
  return { text, isSystemWide: true, isOptional: false, take: () => installPackages(packages) };
}

async function wireGuardStep(): Promise<Step | undefined> {
  if ((await findProgram('wireguard-go')) !== undefined) return undefined;
  const kernel = await hasKernelWireGuard();
  if (kernel === true) return undefined;
  const reason = kernel === false ? 'the kernel has no WireGuard' : 'if the kernel has no WireGuard';
  const hasGo = (await findProgram('go')) !== undefined;
  return {
    text: hasGo
      ? `wireguard-go into .cache/bin, built with Go, or its Debian package where that fails (${reason})`
      : `Debian package, ${reason} (${aptCommand(['wireguard-go'])})`,
    isSystemWide: true,
    isOptional: false,
    take: async () => {
      if ((await hasKernelWireGuard()) !== true) await fetchWireGuard();
    },
  };
}

const NATS_STEP: Step = {
  text: 'nats-server into .cache/bin (a Python wheel, checked by digest)',
  isSystemWide: false,
  isOptional: false,
  take: fetchNatsServer,
};

async function distributionNatsStep(): Promise<Step | undefined> {
  if ((await findProgram('nats-server-distribution')) !== undefined) return undefined;
  if ((await findProgram('apt-get')) === undefined) return undefined;
  const text = "the distribution's nats-server into .cache/bin (tests run against an old one as well)";
  return { text, isSystemWide: false, isOptional: true, take: fetchDistributionNats };
}

/** QEMU and the daemon that shares the root with it: a package of their own in newer distributions, one of QEMU's in older ones. */
async function qemuStep(): Promise<Step | undefined> {
  const hasQemu = (await findProgram('qemu-system-x86_64')) !== undefined;
  if (hasQemu && (await findVirtiofsd()) !== undefined) return undefined;
  const text = `QEMU, for tests on a stock kernel (${aptCommand(['qemu-system-x86'])}, also virtiofsd where it is a package)`;
  const take = async (): Promise<void> => {
    if (!hasQemu) await installPackages(['qemu-system-x86']);
    if ((await findVirtiofsd()) === undefined) await installPackages(['virtiofsd']);
  };
  return { text, isSystemWide: true, isOptional: false, take };
}

async function kernelStep(): Promise<Step | undefined> {
  if ((await findKernel()) !== undefined) return undefined;
  const text = "the distribution's kernel into .cache/kernel (about 100 MB; it is not installed)";
  return { text, isSystemWide: false, isOptional: false, take: fetchKernel };
}

async function missingSteps(need: Need): Promise<readonly Step[]> {
  const needsNats = need.natsServer && !(await hasNatsServer());
  const steps = [
    await packageStep(need.packaged, needsNats),
    need.wireGuard ? await wireGuardStep() : undefined,
    needsNats ? NATS_STEP : undefined,
    need.distributionNats ? await distributionNatsStep() : undefined,
    ...(need.lab === 'vm' ? [await qemuStep(), await kernelStep()] : []),
  ];
  return steps.filter((step) => step !== undefined);
}

/** Whether to go on: a person is asked only about what changes the system, everybody else is told how to decline. */
async function consent(steps: readonly Step[]): Promise<boolean> {
  if (process.env['ISTHMUS_SETUP'] === 'no') return false;
  say(`Set-up installs what is missing (ISTHMUS_SETUP=no declines):`);
  for (const step of steps) say(`  ${step.text}`);
  const canAsk = process.stdin.isTTY && process.stderr.isTTY && process.env['CI'] === undefined;
  if (!canAsk || !steps.some((step) => step.isSystemWide)) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D say no as well, and leave the cursor behind the question.
  const answer = await terminal.question('Go on? [Y/n] ').catch(() => (say(''), 'no'));
  terminal.close();
  return !/^n/i.test(answer.trim());
}

async function takeStep(step: Step): Promise<string | undefined> {
  try {
    await step.take();
    return undefined;
  } catch (error) {
    if (!(error instanceof SetupError) && !step.isOptional) throw error;
    const text = error instanceof Error ? error.message : String(error);
    if (!step.isOptional) return text;
    say(`Left out: ${text.split('\n')[0] ?? ''}`);
    return undefined;
  }
}

/** Takes what is missing, as far as it can be taken. @throws {SetupError} with all that could not */
async function take(steps: readonly Step[]): Promise<void> {
  if (!(await consent(steps))) {
    const texts = steps.filter((step) => !step.isOptional).map((step) => `  ${step.text}`);
    if (texts.length === 0) return;
    throw new SetupError(`Cannot go on: set-up was declined and this is missing:\n${texts.join('\n')}`);
  }
  const failures = [];
  for (const step of steps) failures.push(await takeStep(step));
  const texts = failures.filter((failure) => failure !== undefined);
  if (texts.length > 0) throw new SetupError(texts.join('\n'));
  say('Set-up is done');
}

/**
 * Makes sure that the programs of a group are on PATH, and that this user on this machine can use them. Silent when all is well.
 *
 * @param group `unit`, `host`, `lab`, `test`, `vm` or `bench`
 * @throws {SetupError} with everything that is missing and what to do about it
 */
export async function ensurePrograms(group: string): Promise<void> {
  const need = NEEDS[group];
  if (need === undefined)
    throw new RangeError(`Cannot set up "${group}": it is none of ${Object.keys(NEEDS).join(', ')}`);
  stopAt('lab', need.lab === 'here' ? await findUserObstacle() : undefined);
  stopAt('virtual machine', need.lab === 'vm' ? findVmObstacle() : undefined);
  const steps = await missingSteps(need);
  if (steps.length > 0) await take(steps);
  stopAt('lab', need.lab === 'here' ? await findLabObstacle() : undefined);
}

function stopAt(what: string, obstacle: string | undefined): void {
  if (obstacle !== undefined) throw new SetupError(`Cannot build a ${what} here: ${obstacle}`);
}
