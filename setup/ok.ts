// `npm run ok`: everything that a change must pass before it is shown to anybody, without root.

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';

const root = path.dirname(import.meta.dirname);
const bin = (name: string): string => path.join(root, 'node_modules', '.bin', name);

/** Cheapest first. */
const STEPS = [
  { name: 'format', argv: [bin('oxfmt'), '--check', '.'] },
  { name: 'types', argv: [bin('tsc'), '-p', '.'] },
  { name: 'lint', argv: [bin('oxlint'), '--type-aware', '--deny-warnings', '.'] },
  { name: 'tests and rules', argv: [path.join(root, 'setup', 'test.ts'), 'unit'] },
] as const;

for (const { name, argv } of STEPS) {
  const started = performance.now();
  const { status } = spawnSync(process.execPath, argv, { cwd: root, stdio: 'inherit' });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${status === 0 ? '✔' : '✖'} ${name} (${seconds} s)\n`);
  if (status !== 0) process.exitCode = 1;
}
