// Networks that this host stands in, whether their devices have carrier or not.

import * as v from 'valibot';
import { contains, familyOf, parseCidr, prefixOf, sorted } from '#lib/ip';
import type { Cidr } from '#lib/ip';
import { isOurDevice } from '#lib/linux';
import type { Run } from '#lib/linux';

const Routes = v.array(v.object({ dst: v.string(), dev: v.optional(v.string(), '') }));
const LINK_LOCAL = [parseCidr('fe80::/10'), parseCidr('169.254.0.0/16'), parseCidr('ff00::/8')];

/**
 * What the kernel routes on its own account because of an address on a device. Other routes say where else packets may
 * go, a summary of half the world among them; they do not count.
 */
export async function hostNetworks(run: Run): Promise<Cidr[]> {
  const texts = await Promise.all(
    ['-4', '-6'].map((family) =>
      run({ argv: ['ip', family, '-json', 'route', 'show', 'table', 'main', 'proto', 'kernel'] }),
    ),
  );
  const routes = texts.flatMap((text) => v.parse(Routes, JSON.parse(text || '[]')));
  const foreign = routes.filter(({ dev, dst }) => !isOurDevice(dev) && dst.includes('/'));
  return sorted(new Set(foreign.map(({ dst }) => parseCidr(dst)).filter(isNetwork)));
}

function isNetwork(cidr: Cidr): boolean {
  const isSingle = prefixOf(cidr) === (familyOf(cidr) === 4 ? 32 : 128);
  return !isSingle && !LINK_LOCAL.some((local) => contains(local, cidr));
}
