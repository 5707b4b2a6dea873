// What stands on the command line, checked before anything is done.

import { InvalidArgumentError } from 'commander';
import { messageOf } from '#lib/errors';
import { isCidr4, overlaps, parseAddress, parseCidr, prefixOf } from '#lib/ip';
import type { Address, Cidr, Cidr4 } from '#lib/ip';
import { parseClusterId } from '#lib/names';
import type { ClusterId } from '#lib/names';

/** The longest that a token may be good. */
const MAX_SECONDS = 365 * 86_400;
/** Loopback, link-local, multicast: no other host could be reached by them. */
const NOWHERE = ['127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '::1/128', 'fe80::/10', 'ff00::/8'].map(
  parseCidr,
);

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** The same check; its reason alone goes on, since what it is about is said by commander. */
function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      const message = messageOf(error);
      throw new InvalidArgumentError(message.replace(/^Cannot .*: (?=its? )/, ''));
    }
  };
}

export const clusterArgument: (text: string) => ClusterId = checked(parseClusterId);

/** For options that may be repeated, or hold several with commas between. */
export function cidrsArgument(text: string, before: readonly Cidr[] = []): readonly Cidr[] {
  const parse = checked(parseCidr);
  const list = text.split(',').map((one) => parse(one.trim()));
  for (const cidr of list) {
    const nowhere = NOWHERE.find((other) => overlaps(cidr, other));
    if (nowhere === undefined) continue;
    throw new InvalidArgumentError(`it overlaps ${nowhere}, which means every host itself or its own link`);
  }
  return [...before, ...list];
}

export const addressArgument: (text: string) => Address = checked(parseAddress);

/** Fabric addresses take the 22 bits below the prefix. */
export function fabric4Argument(text: string): Cidr4 {
  const cidr = checked(parseCidr)(text);
  if (isCidr4(cidr) && prefixOf(cidr) === 10) return cidr;
  throw new InvalidArgumentError('it is not an IPv4 /10');
}

/** For options that may be repeated, or hold several with commas between. */
export function listArgument(text: string, before: readonly string[] = []): readonly string[] {
  const list = text.split(',').map((one) => one.trim());
  if (list.includes('')) throw new InvalidArgumentError('one entry is empty');
  return [...before, ...list];
}

/** `90s`, `15m`, `24h`, `7d` as seconds. */
export function durationArgument(text: string): number {
  const match = /^([1-9][0-9]{0,6})([smhd])$/.exec(text);
  const [, count, unit] = match ?? [];
  if (count === undefined || !isUnit(unit)) {
    throw new InvalidArgumentError('it is not a number with a unit, write 90s, 15m, 24h or 7d');
  }
  const seconds = Number(count) * UNITS[unit];
  if (seconds > MAX_SECONDS) throw new InvalidArgumentError('it is longer than 365d');
  return seconds;
}

export function portArgument(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('it is not a number from 1 to 65535');
  return port;
}

function isUnit(text: string | undefined): text is keyof typeof UNITS {
  return text !== undefined && Object.hasOwn(UNITS, text);
}
