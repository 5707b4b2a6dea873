// `npm run lab`: labs by hand.

import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import process from 'node:process';
import { Command } from 'commander';
import { ensurePrograms } from '#setup';
import { labNames } from './home.ts';
import { Lab } from './lab.ts';
import { saidBy, startClusterset } from './product.ts';
import { parseScenario } from './scenario.ts';
import { addSoak } from './soak/command.ts';
import { runCommandInVm } from './vm/command.ts';

/** The one that is named, else the only one that runs. */
async function choose(name: string | undefined): Promise<string> {
  const names = await labNames();
  const [only] = names;
  if (name !== undefined) return name;
  if (names.length === 1 && only !== undefined) return only;
  const reason = names.length === 0 ? 'none runs' : `${names.join(', ')} run`;
  throw new Error(
    `Cannot choose a lab: ${reason}. Name one, or build one: npm run lab -- up lab/scenarios/demo.yaml`,
  );
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function up(file: string, options: { name?: string; bare?: boolean }): Promise<void> {
  const text = await fs.readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`Cannot read "${file}": there is no such file, or it is not for you`, { cause });
  });
  const lab = await Lab.up(parseScenario(text, file), options);
  await lab.keep();
  if (options.bare !== true) await startWhole(lab);
  say(
    `Lab "${lab.name}": ${lab.layout.places.length} places. What there is: npm run lab -- list ${lab.name}`,
  );
}

/** What stands is left for whoever wants to know why. */
async function startWhole(lab: Lab): Promise<void> {
  try {
    await startClusterset(lab);
  } catch (cause) {
    const next = `The lab stands as far as it came. Remove it: npm run lab -- down ${lab.name}`;
    throw new Error(`${saidBy(cause)}\n${next}`, { cause });
  }
}

async function down(names: readonly string[], options: { all?: boolean }): Promise<void> {
  const known = await labNames();
  const chosen = options.all === true ? known : names.length > 0 ? names : [await choose(undefined)];
  const unknown = chosen.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Error(`Cannot remove lab "${unknown}": there is none. What there is: npm run lab -- list`);
  for (const name of chosen) await Lab.down(name);
  say(`Removed: ${chosen.join(', ') || 'nothing'}`);
}

/** Hands over terminal, signals and exit status. */
async function exec(place: string, argv: readonly string[], options: { lab?: string }): Promise<void> {
  const lab = await Lab.open(await choose(options.lab));
  const end = lab.ends.find((each) => each.name === place);
  const [program, ...prefix] = await lab.place(end?.place ?? place).entry();
  const command = argv[0] === '--' ? argv.slice(1) : argv;
  const child = spawn(program, [...prefix, ...command], { stdio: 'inherit' });
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child
    .on('error', reject)
    .on('close', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal])),
    );
  process.exitCode = await promise;
  process.off('SIGINT', ignore);
}

async function list(name: string | undefined): Promise<void> {
  if (name === undefined) return (await labNames()).forEach(say);
  const lab = await Lab.open(name);
  const running = await lab.processes();
  for (const place of lab.layout.places) {
    const roles = running.filter((each) => each.place === place.name).map((each) => each.role);
    say(`${place.name.padEnd(20)} ${place.kind.padEnd(10)} ${roles.join(' ')}`.trimEnd());
  }
}

async function reset(given: string | undefined): Promise<void> {
  const name = await choose(given);
  const former = await Lab.open(name);
  const isBare = (await former.processes({ role: 'broker' })).length === 0;
  await former.down();
  const lab = await Lab.up(former.layout.scenario, { name });
  await lab.keep();
  if (!isBare) await startWhole(lab);
  say(`Lab "${lab.name}" is as new.`);
}

/** What it leaves in files and in the kernel goes with the machine. */
async function vm(argv: readonly string[]): Promise<void> {
  await ensurePrograms('vm');
  await runCommandInVm(argv);
}

const program = new Command('lab')
  .description('Whole clustersets on this machine, in network namespaces. Needs root.')
  .enablePositionalOptions();
program
  .command('up')
  .argument('<scenario>', 'a YAML file, for example lab/scenarios/demo.yaml')
  .option('--bare', 'networks alone: no broker, nobody joined')
  .option('--name <name>', 'instead of the scenario’s own, to run it more than once')
  .description('build a lab, and one clusterset over all its sites')
  .action(up);
program
  .command('down')
  .argument('[names...]', 'default: the only one')
  .option('--all', 'every lab of this machine')
  .description('remove labs, also half-built or half-removed ones')
  .action(down);
program
  .command('exec')
  .argument('<place>', 'internet, broker, east/router, east/gw-0, east/pod-a …')
  .argument('<command...>')
  .option('--lab <name>', 'default: the only one')
  .passThroughOptions()
  .description('run a command in a place')
  .action(exec);
program.command('list').argument('[name]').description('labs, or the places of one').action(list);
program.command('reset').argument('[name]').description('remove a lab and build it again').action(reset);
program
  .command('vm')
  .argument('<command...>')
  .passThroughOptions()
  .description('run a command in a virtual machine with a stock kernel, on a copy of this machine’s files')
  .action(vm);
addSoak(program);

// Whoever reads may stop early, as `head` does.
process.stdout.on('error', () => process.exit());
try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${saidBy(error)}\n`);
  process.exitCode = 1;
}
