// `npm run demo`: three sites, one network, on this machine alone.

import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import { progress, SILENT } from './demo/progress.ts';
import { faultsOf, type Report } from './demo/report.ts';
import { tell } from './demo/story.ts';
import { labNames, namespacesOf } from './home.ts';
import { Lab } from './lab.ts';
import { saidBy } from './product.ts';
import { parseScenario } from './scenario.ts';

interface Flags {
  readonly name: string;
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

/** The whole demo, cleaned up after however it ends. */
async function demo(flags: Flags, signal: AbortSignal): Promise<Report> {
  const started = performance.now();
  const scene = flags.json === true ? SILENT : progress();
  const { name, keep = false } = flags;
  // What a killed run left behind has the same name.
  if ((await labNames()).includes(name)) await Lab.down(name);
  const lab = await scene.step('Building three sites and an internet', async () => {
    const lab = await Lab.up(parseScenario(await fs.readFile(SCENARIO, 'utf8'), SCENARIO), { name, signal });
    return { value: lab, said: `${lab.layout.places.length} network namespaces: ${describe(lab)}` };
  });
  let isWhole = false;
  try {
    const told = await until(signal, tell({ lab, progress: scene, signal, keep }));
    isWhole = true;
    if (!keep) await scene.step('Removing everything', () => remove(lab));
    return { ...told, seconds: Math.round((performance.now() - started) / 100) / 10 };
  } finally {
    if (!isWhole) await lab.down();
  }
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

/** A step that waits for a child does not see the signal: the demo does not wait for it. */
async function until<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  work.catch(() => {});
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', stop));
}

async function main(flags: Flags): Promise<void> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => interrupted.abort(new Error(`Interrupted by ${name}; everything was removed`)));
  const report = await demo(flags, interrupted.signal);
  const faults = faultsOf(report);
  if (flags.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    const verdict =
      faults.length === 0 ? 'Every pod reached every other by its own address' : faults.join('; ');
    process.stdout.write(`\n${verdict}. ${report.seconds} s.\n`);
    if (flags.keep === true) process.stdout.write(await toTry(flags.name));
  }
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
    .option('--name <name>', 'of the lab that it builds; one that exists is removed first', 'demo')
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
