// The question before something that cannot be undone.

import process from 'node:process';
import type { Context } from './context.ts';
import { CliError, EXIT } from './exit.ts';

/**
 * Returns when the operator agrees, by --yes or on the terminal.
 *
 * @param action what is asked about, as in `revoke "east"`
 * @throws {CliError} otherwise
 */
export async function confirm(
  { terminal }: Context,
  action: string,
  { yes = false, consequence }: { readonly yes?: boolean; readonly consequence: string },
): Promise<void> {
  if (yes) return;
  if (!terminal.isInteractive) {
    throw new CliError(
      EXIT.usage,
      `Cannot ${action}: nobody is there to confirm it. ${consequence}. Add --yes to do it`,
    );
  }
  const { confirm: ask } = await import('@clack/prompts');
  const answer = await ask({
    message: `${consequence}. Go on?`,
    initialValue: false,
    output: process.stderr,
  });
  if (answer !== true)
    throw new CliError(EXIT.interrupted, `Cannot ${action}: not confirmed, nothing was changed`);
}
