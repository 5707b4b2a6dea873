// `clusterctl join`: everything is checked first, then the broker is asked, then the membership is written.

import { hostname } from 'node:os';
import { checkToken, joinClusterset, parseToken } from '#broker';
import type { JoinToken } from '#broker';
import { readSite } from '#site';
import type { Site } from '#site';
import type { Context } from './context.ts';
import { CliError, EXIT } from './exit.ts';
import { hostNetworks } from './host-networks.ts';
import { checkJoiningHost } from './join-host.ts';
import { startProgress } from './progress.ts';
import { readToken } from './token.ts';
import type { TokenSource } from './token.ts';

export interface JoinOptions extends TokenSource {
  readonly site: string;
  readonly secrets: string;
  readonly node?: string;
}

export async function join(context: Context, options: JoinOptions): Promise<void> {
  const { terminal, run, signal, now } = context;
  const { site } = await readSite(options.site);
  const text = await readToken(context, options);
  checkClaims(site, parseToken(text), now());
  checkGateway(site, options.node ?? hostname());
  const progress = startProgress(context);
  await progress('Checking this host', () => checkJoiningHost(run, site));
  const joined = await progress(`Asking the broker to admit "${site.id}"`, async () =>
    joinClusterset({
      token: text,
      secretsDir: options.secrets,
      cluster: site.id,
      hostNetworks: await hostNetworks(run),
      signal,
      now,
    }),
  );
  const how = joined.again ? 'Renewed the membership of' : 'Joined as';
  terminal.say(
    `${how} "${site.id}", index ${joined.index} of clusterset ${joined.clusterset}. Tunnels come up while isthmus-gateway runs. See: clusterctl show tunnels`,
  );
}

/** Others accept exactly what the certificate names, and the certificate names what the token does. */
function checkClaims(site: Site, token: JoinToken, now: Date): void {
  // An expired token may still finish a join that was cut off: that is for joinClusterset to judge.
  if (token.cluster !== site.id) checkToken(token, now, site.id);
  for (const [what, said, pinned] of [
    ['pod', site.podCidrs, token.podCidrs],
    ['service', site.serviceCidrs, token.serviceCidrs],
  ] as const) {
    if (said.toSorted().join() === pinned.toSorted().join()) continue;
    const reason = `its ${what} CIDRs are ${list(said)} in site.yaml, and the token is for ${list(pinned)}`;
    throw new CliError(
      EXIT.refused,
      `Cannot join "${site.id}": ${reason}. Correct site.yaml, or make a token for what it says: ${tokenCommand(site)}`,
    );
  }
}

function tokenCommand(site: Site): string {
  const pods = site.podCidrs.map((cidr) => ` --pod-cidr ${cidr}`).join('');
  const services = site.serviceCidrs.map((cidr) => ` --service-cidr ${cidr}`).join('');
  return `clusterctl broker token --cluster ${site.id}${pods}${services}`;
}

/** Credentials are for gateways: a worker that had them could speak for the cluster. */
function checkGateway(site: Site, name: string): void {
  const refuse = (reason: string): CliError =>
    new CliError(EXIT.usage, `Cannot join "${site.id}": ${reason}`);
  const node = site.nodes.find((one) => one.name === name);
  if (node === undefined) {
    const names = site.nodes.map((one) => one.name).join(', ');
    throw refuse(`site.yaml has no node "${name}", it has ${names}. Say which one this host is with --node`);
  }
  if (node.role === 'gateway') return;
  const gateways = site.nodes.filter(({ role }) => role === 'gateway').map((one) => one.name);
  throw refuse(
    `"${name}" is a worker, and only gateways hold the membership. Run it on ${gateways.join(' or ')}`,
  );
}

function list(cidrs: readonly string[]): string {
  return cidrs.length === 0 ? 'none' : cidrs.join(', ');
}
