// Runs a command in a virtual machine with a stock kernel, on a copy-on-write view of this machine's root: `main.ts COMMAND…`.

import process from 'node:process';
import { runCommandInVm } from './command.ts';

await runCommandInVm(process.argv.slice(2));
