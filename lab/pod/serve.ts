// Tells everybody who asks by which address it sees them.

import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { WHO_PORT } from './protocol.ts';

/** Listens on every address, both families; resolves once it does. */
export async function serve(port = WHO_PORT): Promise<void> {
  const tcp = net.createServer(greet);
  tcp.listen({ port, host: '::', backlog: 512 });
  const udp = dgram.createSocket({ type: 'udp6' });
  udp.on('message', (_, peer) => {
    udp.send(plain(peer.address), peer.port, peer.address, () => {});
  });
  udp.bind(port, '::');
  await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
}

/** One line with the peer's address; what it sends afterwards comes back. */
function greet(socket: net.Socket): void {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.write(`${plain(socket.remoteAddress ?? '')}\n`);
  socket.pipe(socket);
}

/** Without the prefix that an IPv4 peer has on an IPv6 socket. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}
