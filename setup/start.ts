// Starts one TypeScript program of the repository after the set-up that it needs: `start.ts [--need GROUP] FILE.ts ARG…`.

import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { SetupError } from './say.ts';

/** Takes `--need GROUP` off the front of the arguments. */
function takeNeed(args: string[]): string | undefined {
  if (args[0] !== '--need') return undefined;
  const [, need] = args.splice(0, 2);
  return need;
}

try {
  const args = process.argv.slice(2);
  const need = takeNeed(args);
  if (need !== undefined) {
    const { ensurePrograms } = await import('./programs.ts');
    await ensurePrograms(need);
  }
  const script = args.shift();
  if (script !== undefined) {
    const file = path.resolve(import.meta.dirname, '..', script);
    process.argv = [process.execPath, file, ...args];
    await import(pathToFileURL(file).href);
  }
} catch (error) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${error instanceof SetupError ? error.message : text}\n`);
  process.exitCode = 1;
}
