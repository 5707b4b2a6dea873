// The command that renews keys.

import type { Command } from 'commander';
import type { Context } from './context.ts';
import { DIRECTORIES } from './directories.ts';
import { statusPortOption } from './program-show.ts';
import type { RotateKeysOptions } from './rotate-keys.ts';

export function addRotateKeys(program: Command, context: Context): void {
  program
    .command('rotate-keys')
    .description("give the tunnels of this host's gateway new keys, without a loss")
    .option('--state <directory>', 'state directory', DIRECTORIES.state)
    .addOption(statusPortOption())
    .option('--force', 'also where nothing stands in for a lane meanwhile: what passes then is lost')
    .action(async (options: RotateKeysOptions) =>
      (await import('./rotate-keys.ts')).rotateKeys(context, options),
    );
}
