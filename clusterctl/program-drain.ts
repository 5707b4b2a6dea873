// The commands that take something out of use, and back.

import { Argument } from 'commander';
import type { Command } from 'commander';
import type { Context } from './context.ts';
import { DIRECTORIES } from './directories.ts';
import type { Drained, DrainOptions } from './drain.ts';
import { nodeOption, statusPortOption } from './program-show.ts';

export function addDrain(program: Command, context: Context): void {
  addCommand(program, 'drain', "take this host's gateway, or the way to a cluster, out of use")
    .option('--force', 'also where nothing else leads to a cluster')
    .action(async (what: Drained, name: string | undefined, options: DrainOptions) =>
      (await import('./drain.ts')).drain(context, { what, name }, options),
    );
  addCommand(program, 'undrain', 'take it back into use').action(
    async (what: Drained, name: string | undefined, options: DrainOptions) =>
      (await import('./drain.ts')).undrain(context, { what, name }, options),
  );
}

function addCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addArgument(new Argument('<what>', 'gateway or cluster').choices(['gateway', 'cluster']))
    .addArgument(new Argument('[name]', 'the cluster; of gateways, the one of this host'))
    .option('--site <directory>', 'site directory', DIRECTORIES.site)
    .addOption(nodeOption())
    .addOption(statusPortOption());
}
