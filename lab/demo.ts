// `npm run demo`: three sites, one network, on this machine alone.

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import { claim } from './demo/claim.ts';
import { progress, SILENT, type Progress } from './demo/progress.ts';
import { faultsOf, type Report } from './demo/report.ts';
import { tell } from './demo/story.ts';
import { isKept, labNames, namespacesOf } from './home.ts';
import { Lab } from './lab.ts';
import { saidBy } from './product.ts';
import { parseScenario } from './scenario.ts';
import { unlessAborted } from './unless-aborted.ts';

interface Flags {
  readonly name?: string;
  readonly keep?: boolean;
  readonly json?: boolean;
}

const SCENARIO = path.join(import.meta.dirname, 'scenarios', 'demo.yaml');
const TO_TRY = [
  'east/pod-a ping 10.2.1.2',
  'east/gw-0 clusterctl show tunnels',
  'west/worker-1 clusterctl show routes',
  'edge/gw-1 clusterctl show map',
] as const;

/** What came of it. */
interface Outcome {
  readonly name: string;
  readonly report: Report;
  readonly faults: readonly string[];
}

/** The whole demo, cleaned up after however it ends. */
async function demo(flags: Flags, signal: AbortSignal): Promise<Outcome> {
  const started = performance.now();
  const scene = flags.json === true ? SILENT : progress();
  const name = await takeName(flags.name);
  await clearName(name, scene);
  const { keep = false } = flags;
  const lab = await scene.step('Building three sites and an internet', async () => {
    const lab = await Lab.up(parseScenario(await fs.readFile(SCENARIO, 'utf8'), SCENARIO), { name, signal });
    return { value: lab, said: `${lab.layout.places.length} network namespaces: ${describe(lab)}` };
  });
  let isWhole = false;
  try {
    const told = await unlessAborted(signal, tell({ lab, progress: scene, signal, keep }));
    const faults = faultsOf(told);
    if (faults.length > 0) faults.push(`logs: ${await saveLogs(lab)}`);
    isWhole = true;
    if (keep) await lab.keep();
    else await scene.step('Removing everything', () => remove(lab));
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    return { name, report: { ...told, seconds }, faults };
  } catch (error) {
    throw signal.aborted ? error : await withLogs(lab, error);
  } finally {
    if (!isWhole) await lab.down();
  }
}

/** The name that was asked for, else the first that no running demo and no lab that somebody keeps has. */
async function takeName(asked: string | undefined): Promise<string> {
  if (asked !== undefined) {
    if (await claim(asked)) return asked;
    throw new Error(`Cannot use the name "${asked}": a demo runs under it. Give another: --name NAME`);
  }
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? 'demo' : `demo-${n}`;
    if (!(await isKept(name)) && (await claim(name))) return name;
  }
}

/** What a killed run left behind has the same name. */
async function clearName(name: string, scene: Progress): Promise<void> {
  if (!(await labNames()).includes(name)) return;
  await scene.step(`Removing lab "${name}" of before`, async () => {
    await Lab.down(name);
    return { value: undefined, said: `lab "${name}" of before removed` };
  });
}

/** Copies what all programs said to where it stays: the lab's own files go with it. */
async function saveLogs(lab: Lab): Promise<string> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'isthmus-demo-'));
  await fs.cp(lab.home.logs, directory, { recursive: true });
  return directory;
}

/** The same error, with the places where its logs will be. */
async function withLogs(lab: Lab, cause: unknown): Promise<Error> {
  const logs = await saveLogs(lab);
  const said = saidBy(cause).replaceAll(lab.home.logs, logs);
  return new Error(said.includes(logs) ? said : `${said}\nSee the logs in ${logs}`, { cause });
}

function describe(lab: Lab): string {
  const pods = lab.ends.filter((end) => end.kind === 'pod').length;
  return `${lab.layout.sites.length} sites, ${lab.nodes.length} nodes, ${pods} pods`;
}

async function remove(lab: Lab): Promise<{ value: undefined; said: string }> {
  await lab.down();
  const left = await namespacesOf(lab.name);
  if (left.length > 0) throw new Error(`Cannot remove lab "${lab.name}": ${left.join(', ')} remain`);
  return { value: undefined, said: 'everything removed' };
}

async function main(flags: Flags): Promise<void> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => interrupted.abort(new Error(`Interrupted by ${name}; everything was removed`)));
  const { name, report, faults } = await demo(flags, interrupted.signal);
  if (flags.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    const verdict =
      faults.length === 0 ? 'Every pod reached every other by its own address' : faults.join('; ');
    process.stdout.write(`\n${verdict}. ${report.seconds} s.\n`);
    if (flags.keep === true) process.stdout.write(await toTry(name));
  }
  if (faults.length > 0 && flags.json === true) process.stderr.write(`${faults.join('\n')}\n`);
  if (faults.length > 0) process.exitCode = 1;
}

/** A place is looked for in the only lab; where there are others, this one has to be named. */
async function toTry(name: string): Promise<string> {
  const which = (await labNames()).length > 1 ? `--lab ${name} ` : '';
  const lines = [...TO_TRY.map((command) => `exec ${which}${command}`), `down ${name}`];
  return `\nIt is still running. Try:\n${lines.map((line) => `  npm run lab -- ${line}\n`).join('')}`;
}

try {
  await new Command('demo')
    .description('Join three sites to one network, on this machine, and take it down again. Needs root.')
    .option(
      '--name <name>',
      'of the lab that it builds; one that exists is removed first (default: demo, demo-2 …)',
    )
    .option('--keep', 'leave it running, and say what to try')
    .option('--json', 'print one JSON document and nothing else')
    .action(main)
    .parseAsync();
} catch (error) {
  process.stderr.write(`\n${saidBy(error)}\n`);
  process.exitCode = 1;
}
// A step that was given up may still hold the event loop.
process.exit();
